/**
 * @file The fewest tokens that a text can have, without encoding it: a text that is far too long for a model is recognised at
 * once, while encoding it would take seconds.
 *
 * A token covers only its own bytes, so each byte counts for at least 1 / length of the longest token that contains it: a text
 * has at least Σ over bytes of 1 / longest(byte) tokens. That holds for byte pair encodings, if the steps before them leave
 * nothing out; for others there is no bound. If steps change characters, characters are counted instead, with the length of the
 * longest token of all. Characters missing in a vocabulary are left out of a text: SmolLM2's lacks six, which nobody types.
 */
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { type WrittenStep, stepsOf } from "../../format/checkpoint/gguf/tokenizer-steps.ts";
import type { Tokenizer } from "./tokenizer.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Maximum number of characters that become one, by kinds of normalizers: NFC composes a letter with its marks. */
const COMPOSED: Readonly<Record<string, number>> = { Prepend: 1, Replace: 1, NFC: 4 };
/** Steps that split a text and pass all of it on. */
const WHOLE: ReadonlySet<unknown> = new Set(["ByteLevel", "Digits", "Metaspace", "Split"]);
/** In UTF-8, every byte but the first of a character is one of these. */
const [FIRST_CONTINUATION, NUM_CONTINUATIONS] = [0x80, 0x40];

const NUM_BYTES = 256;
const UTF8 = new TextEncoder();

/** How much of a text the tokens of a vocabulary can cover. */
interface Coverage {
  /** Whether tokens consist of the bytes of the text. */
  readonly isAsWritten: boolean;
  /** Maximum bytes, or characters, of a token that contains a given byte; Infinity: no limit, or it is left out. */
  readonly perToken: Float64Array;
}

const UNKNOWN: Coverage = { isAsWritten: false, perToken: new Float64Array(NUM_BYTES).fill(Infinity) };
/** More than the rounding error of sums of floats. */
const ROUNDING = 1e-9;

/**
 * Returns a function that computes the fewest tokens of the parts of a text; it reads the vocabulary when it is first called
 * with more than `freeLength` characters.
 */
export function fewestTokens(
  tokenizer: Pick<Tokenizer, "vocabSize" | "tokenBytes">,
  files: TokenizerFiles,
  freeLength: number,
): (parts: readonly string[]) => number {
  let coverage: Coverage | null = null;
  return (parts) => {
    if (parts.reduce((total, { length }) => total + length, 0) <= freeLength) return 0;
    const { isAsWritten, perToken } = (coverage ??= coverageOf(tokenizer, files));
    const counts = new Float64Array(NUM_BYTES);
    for (const part of parts) (isAsWritten ? countBytes : countCharacters)(part, counts);
    const sum = counts.reduce((total, count, byte) => total + count / perToken[byte]!, 0);
    return Math.ceil(sum * (1 - ROUNDING));
  };
}

function countBytes(text: string, counts: Float64Array): void {
  for (const byte of UTF8.encode(text)) counts[byte]!++;
}

/** Counts characters; all those of several bytes count as one kind. */
function countCharacters(text: string, counts: Float64Array): void {
  for (let i = 0; i < text.length; i++) counts[Math.min(text.charCodeAt(i), FIRST_CONTINUATION)]!++;
}

function coverageOf(
  { vocabSize, tokenBytes }: Pick<Tokenizer, "vocabSize" | "tokenBytes">,
  { tokenizer: file }: TokenizerFiles,
): Coverage {
  const composed = stepsOf(file["normalizer"] as WrittenStep | null).map(composedBy);
  const steps = stepsOf(file["pre_tokenizer"] as WrittenStep | null);
  const isWhole =
    (file["model"] as Fields | undefined)?.["type"] === "BPE" &&
    steps.every(keepsAll) &&
    ((file["added_tokens"] ?? []) as readonly Fields[]).every(
      (token) => !token["lstrip"] && !token["rstrip"],
    );
  if (!isWhole) return UNKNOWN;
  const known = new Set<number>();
  const perToken = new Float64Array(NUM_BYTES);
  let longest = 1;
  for (let id = 0; id < vocabSize; id++) {
    const bytes = tokenBytes(id) ?? [];
    longest = Math.max(longest, bytes.length);
    if (bytes.length === 1) known.add(bytes[0]!);
    for (const byte of bytes) perToken[byte] = Math.max(perToken[byte]!, bytes.length);
  }
  const lacks = (byte: number): boolean => !known.has(byte);
  if (Array.from({ length: NUM_CONTINUATIONS }, (_, i) => FIRST_CONTINUATION + i).some(lacks)) return UNKNOWN;
  const isAsWritten = composed.length === 0 && steps.every(({ type }) => type !== "Metaspace");
  const most = composed.reduce((product, each) => product * each, longest);
  const perByte = perToken.map((length, byte) => (lacks(byte) ? Infinity : isAsWritten ? length : most));
  return { isAsWritten, perToken: perByte };
}

function composedBy(step: Fields): number {
  const { type, content, pattern } = step as { type?: unknown; content?: unknown; pattern?: Fields };
  // A pattern might remove any number of characters.
  const replaced = (pattern ?? {})["String"];
  if (type === "Replace" && !(typeof replaced === "string" && replaced.length <= String(content).length))
    return Infinity;
  return COMPOSED[String(type)] ?? Infinity;
}

function keepsAll({ type, behavior }: Fields): boolean {
  return WHOLE.has(type) && behavior !== "Removed";
}
