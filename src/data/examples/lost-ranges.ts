/** @file Decides which tokens a text to classify loses if it is too long; special tokens between and after texts stay. */
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** Tokens [from, to). */
type Range = readonly [from: number, to: number];

/**
 * Finds the tokens that an example loses to have `maxLength` tokens: the end of its text, or in a pair the end of the longer
 * text until both have one length, then of both (transformers' `longest_first`).
 */
export function lostRanges(
  { ids, secondAt }: { readonly ids: ArrayLike<number>; readonly secondAt?: number },
  { prefixIds, suffixIds, pair }: Pick<Tokenizer, "prefixIds" | "suffixIds" | "pair">,
  maxLength: number,
): readonly Range[] {
  const isCut = ([from, to]: Range): boolean => from < to;
  if (secondAt === undefined) {
    const ends: Range = [maxLength - suffixIds.length, ids.length - suffixIds.length];
    return [ends].filter(isCut);
  }
  const [firstEnd, secondEnd] = [secondAt - pair.middle.length, ids.length - pair.suffix.length];
  const sizes: Range = [firstEnd - prefixIds.length, secondEnd - secondAt];
  const numOthers = ids.length - sizes[0] - sizes[1];
  const [first, second] = longestFirst(sizes, Math.max(0, maxLength - numOthers));
  const ends: readonly Range[] = [
    [prefixIds.length + first, firstEnd],
    [secondAt + second, secondEnd],
  ];
  return ends.filter(isCut);
}

/** Shortens the longer of two lengths until their sum is `total`; once they are equal, both. */
function longestFirst([a, b]: readonly [number, number], total: number): readonly [number, number] {
  if (a + b <= total) return [a, b];
  const short = Math.min(a, b);
  const half = Math.floor(total / 2);
  const [less, more] = 2 * short > total ? [half, total - half] : [short, total - short];
  return a <= b ? [less, more] : [more, less];
}
