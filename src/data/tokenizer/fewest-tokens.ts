/**
 * @file The fewest tokens that a text can have, without encoding it: a text that is far too long for a model is told at once, where
 * encoding it would take seconds.
 *
 * A token stands for its own characters and no more, so a text of n has at least n / longest. That holds of byte pair encodings, and of
 * steps before them that leave nothing out; of others nothing is said. Characters that a vocabulary lacks are left out of a text:
 * SmolLM2's lacks six, which nobody types.
 */
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import type { Tokenizer } from "./tokenizer.ts";

type Fields = Readonly<Record<string, unknown>>;

/** How many characters become one at most, by kinds of normalizers: a letter with its marks is composed. */
const COMPOSED: Readonly<Record<string, number>> = { Prepend: 1, Replace: 1, NFC: 4 };
/** Steps that divide a text, and are handed all of it on. */
const WHOLE: ReadonlySet<unknown> = new Set(["ByteLevel", "Digits", "Metaspace", "Split"]);
/** Every character that is longer than a byte has one of these for each of its parts. */
const [FIRST_CONTINUATION, NUM_CONTINUATIONS] = [0x80, 0x40];

/** How the tokens of a vocabulary cover characters. */
interface Coverage {
  /** Characters that a token may stand for; Infinity: any number. */
  readonly perToken: number;
  /** Characters that are left out because no token has them; null: none. */
  readonly lacking: RegExp | null;
}

const UNKNOWN: Coverage = { perToken: Infinity, lacking: null };

/** Finds how many tokens the parts of a text have at least; looks at the vocabulary when it is first asked about more than `freeLength` characters. */
export function fewestTokens(
  tokenizer: Pick<Tokenizer, "vocabSize" | "tokenBytes">,
  { tokenizer: file }: TokenizerFiles,
  freeLength: number,
): (parts: readonly string[]) => number {
  let coverage: Coverage | null = null;
  return (parts) => {
    const sum = (lengthOf: (part: string) => number): number =>
      parts.reduce((total, part) => total + lengthOf(part), 0);
    if (sum(({ length }) => length) <= freeLength) return 0;
    const { perToken, lacking } = (coverage ??= coverageOf(tokenizer, file));
    return Math.ceil(sum((part) => (lacking ? part.replace(lacking, "") : part).length) / perToken);
  };
}

function coverageOf(
  { vocabSize, tokenBytes }: Pick<Tokenizer, "vocabSize" | "tokenBytes">,
  file: Fields,
): Coverage {
  const composed = stepsOf(file["normalizer"], "normalizers").map(composedBy);
  const isWhole =
    (file["model"] as Fields | undefined)?.["type"] === "BPE" &&
    stepsOf(file["pre_tokenizer"], "pretokenizers").every(keepsAll) &&
    ((file["added_tokens"] ?? []) as readonly Fields[]).every(
      (token) => !token["lstrip"] && !token["rstrip"],
    );
  if (!isWhole) return UNKNOWN;
  const known = new Set<number>();
  let longest = 1;
  for (let id = 0; id < vocabSize; id++) {
    const bytes = tokenBytes(id);
    longest = Math.max(longest, bytes?.length ?? 0);
    if (bytes?.length === 1) known.add(bytes[0]!);
  }
  const lacks = (byte: number): boolean => !known.has(byte);
  if (Array.from({ length: NUM_CONTINUATIONS }, (_, i) => FIRST_CONTINUATION + i).some(lacks)) return UNKNOWN;
  const lacking = Array.from({ length: FIRST_CONTINUATION }, (_, byte) => byte).filter(lacks);
  return {
    perToken: composed.reduce((product, each) => product * each, longest),
    lacking: lacking.length === 0 ? null : new RegExp(`[${lacking.map(escaped).join("")}]`, "g"),
  };
}

function escaped(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

/** The steps of a part of tokenizer.json, those in sequences one after another. */
function stepsOf(step: unknown, list: string): readonly Fields[] {
  if (step == null) return [];
  const fields = step as Fields;
  if (fields["type"] !== "Sequence") return [fields];
  return ((fields[list] ?? []) as readonly unknown[]).flatMap((each) => stepsOf(each, list));
}

function composedBy(step: Fields): number {
  const { type, content, pattern } = step as { type?: unknown; content?: unknown; pattern?: Fields };
  // A pattern might take any number of characters away.
  const replaced = (pattern ?? {})["String"];
  if (type === "Replace" && !(typeof replaced === "string" && replaced.length <= String(content).length))
    return Infinity;
  return COMPOSED[String(type)] ?? Infinity;
}

function keepsAll({ type, behavior }: Fields): boolean {
  return WHOLE.has(type) && behavior !== "Removed";
}
