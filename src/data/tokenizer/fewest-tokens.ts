/**
 * @file The fewest tokens that a text can have, without encoding it: a text that is far too long for a model is told at once, where
 * encoding it would take seconds.
 *
 * A token stands for its own characters and no more, so a text of n has at least n / longest. That holds of byte pair encodings which
 * know every byte, and of steps before them that leave nothing out; of others nothing is said.
 */
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import type { Tokenizer } from "./tokenizer.ts";

type Fields = Readonly<Record<string, unknown>>;

/** How many characters become one at most, by kinds of normalizers: a letter with its marks is composed. */
const COMPOSED: Readonly<Record<string, number>> = { Prepend: 1, Replace: 1, NFC: 4 };
/** Steps that divide a text, and are handed all of it on. */
const WHOLE: ReadonlySet<unknown> = new Set(["ByteLevel", "Digits", "Metaspace", "Split"]);
/** Bytes that UTF-8 never has. */
const isUnused = (byte: number): boolean => byte === 0xc0 || byte === 0xc1 || byte > 0xf4;

/** Finds for each text how many tokens it has at least; looks at the vocabulary when it is first asked about more than `freeLength` characters. */
export function fewestTokens(
  tokenizer: Pick<Tokenizer, "vocabSize" | "tokenBytes">,
  { tokenizer: file }: TokenizerFiles,
  freeLength: number,
): (length: number) => number {
  let perToken: number | null = null;
  return (length) => {
    if (length <= freeLength) return 0;
    perToken ??= charactersPerToken(tokenizer, file);
    return Math.ceil(length / perToken);
  };
}

/** Characters that a token may stand for; Infinity: any number. */
function charactersPerToken(
  { vocabSize, tokenBytes }: Pick<Tokenizer, "vocabSize" | "tokenBytes">,
  file: Fields,
): number {
  const composed = stepsOf(file["normalizer"], "normalizers").map(composedBy);
  const isWhole =
    (file["model"] as Fields | undefined)?.["type"] === "BPE" &&
    stepsOf(file["pre_tokenizer"], "pretokenizers").every(keepsAll) &&
    ((file["added_tokens"] ?? []) as readonly Fields[]).every(
      (token) => !token["lstrip"] && !token["rstrip"],
    );
  if (!isWhole) return Infinity;
  const known = new Set<number>();
  let longest = 1;
  for (let id = 0; id < vocabSize; id++) {
    const bytes = tokenBytes(id);
    longest = Math.max(longest, bytes?.length ?? 0);
    if (bytes?.length === 1) known.add(bytes[0]!);
  }
  const isKnown = Array.from({ length: 256 }, (_, byte) => known.has(byte) || isUnused(byte)).every(Boolean);
  return isKnown ? composed.reduce((product, each) => product * each, longest) : Infinity;
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
