/**
 * @file Truncates inputs, by vLLM's `truncate_prompt_tokens`; as in transformers, the tokens that the tokenizer adds around a
 * text stay.
 */
import { invalidValue } from "../api-error.ts";
import type { ReadRequest } from "../wire.ts";

/** How an input is truncated. */
interface Truncation {
  readonly numTokens: number;
  /** Whether it loses its beginning; otherwise its end. */
  readonly isLeft: boolean;
}

/** Tokens around a text, which are not removed. */
export type Ends = readonly [prefix: readonly number[], suffix: readonly number[]];

/** Characters of a text that are encoded at first, which takes a few milliseconds; a text may have megabytes. */
const FIRST_CHARACTERS = 1 << 15;
/** Tokens next to a cut between characters, which may differ from those of the whole text. */
const SPARE_TOKENS = 256;

/** Reads how a request truncates its inputs; null: not at all. @throws ApiError 400 for lengths that no input can have */
export function readTruncation(
  {
    truncate_prompt_tokens: asked,
    truncation_side: side,
  }: Pick<ReadRequest, "truncate_prompt_tokens"> & Partial<ReadRequest>,
  [prefix, suffix]: Ends,
  maxTokens: number,
): Truncation | null {
  if (asked == null) return null;
  const fewest = prefix.length + suffix.length + 1;
  if (asked !== -1 && (asked < fewest || asked > maxTokens)) {
    throw invalidValue(
      `truncate_prompt_tokens is ${asked}, expected ${fewest} to ${maxTokens}, or -1 for as many as the model reads`,
      "truncate_prompt_tokens",
    );
  }
  return { numTokens: asked === -1 ? maxTokens : asked, isLeft: side === "left" };
}

/** The ids of a text, or the given ids, truncated if there are too many. */
export function readCut(
  input: string | readonly number[],
  {
    encode,
    ends,
    truncation,
  }: { readonly encode: (text: string) => number[]; readonly ends: Ends; readonly truncation: Truncation },
): readonly number[] {
  if (typeof input !== "string") return cut(input, [[], []], truncation);
  return cut(encodeEnough(input, encode, truncation), ends, truncation);
}

/** Encodes a text, or as much of it as determines the ids that are kept. */
export function encodeEnough(
  text: string,
  encode: (text: string) => number[],
  { numTokens, isLeft }: Truncation,
): number[] {
  for (let length = FIRST_CHARACTERS; ; length *= 4) {
    const piece = isLeft ? text.slice(-length) : text.slice(0, length);
    const ids = encode(piece);
    if (piece.length === text.length || ids.length > numTokens + SPARE_TOKENS) return ids;
  }
}

function cut(
  ids: readonly number[],
  [prefix, suffix]: Ends,
  { numTokens, isLeft }: Truncation,
): readonly number[] {
  const numLost = ids.length - numTokens;
  if (numLost <= 0) return ids;
  if (isLeft) return [...prefix, ...ids.slice(prefix.length + numLost)];
  return [...ids.slice(0, numTokens - suffix.length), ...suffix];
}
