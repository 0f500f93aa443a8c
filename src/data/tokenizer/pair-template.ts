/** @file What a tokenizer puts between and behind two texts that are read together. */
import type { OpenTokenizer } from "./library/hub-tokenizer.ts";

/** Ids around a pair; what stands before the first text is that of a text alone. */
export interface PairTemplate {
  readonly middle: readonly number[];
  readonly suffix: readonly number[];
}

/** Finds the template by a pair of equal short texts; null: the tokenizer has none, and puts one text behind the other. */
export function readPairTemplate(hub: OpenTokenizer): PairTemplate | null {
  const body = hub.encode("a", { add_special_tokens: false }).ids;
  const whole = hub.encode("a", { text_pair: "a" }).ids;
  const isBodyAt = (start: number): boolean => body.every((id, i) => whole[start + i] === id);
  const starts = [...whole.keys()].filter(isBodyAt);
  const [first, second] = [starts[0], starts.at(-1)];
  if (first === undefined || second === undefined || second < first + body.length) return null;
  return { middle: whole.slice(first + body.length, second), suffix: whole.slice(second + body.length) };
}
