/**
 * @file Makes added tokens remove white space before or after them (`lstrip`, `rstrip`) by Unicode's definition, which has
 * U+0085 but not U+FEFF, unlike JavaScript's functions. Other tokens beside them are kept.
 */
import type { SplittingTokenizer } from "./tokenizer-step.ts";

const WHITE = /\p{White_Space}/u;

/** Strips around added tokens as the reference does, instead of the library. */
export function stripAddedSpaces(hub: SplittingTokenizer): void {
  const { added_tokens: tokens, added_tokens_map: added } = hub;
  const [left, right] = [new Set<unknown>(), new Set<unknown>()];
  for (const token of tokens) {
    if (token.lstrip) left.add(token);
    if (token.rstrip) right.add(token);
    token.lstrip = false;
    token.rstrip = false;
  }
  if (left.size + right.size === 0) return;
  for (const splitter of [hub.splitter_unnormalized, hub.splitter_normalized]) {
    const split = splitter.split.bind(splitter);
    splitter.split = (text) => {
      const parts = split(text);
      const found = parts.map((part) => added.get(part));
      return parts.map((part, i) => {
        if (found[i]) return part;
        const start = right.has(found[i - 1]) ? startOf(part) : 0;
        const end = left.has(found[i + 1]) ? endOf(part, start) : part.length;
        return part.slice(start, end);
      });
    };
  }
}

/** The end of white space at the start. All of it are single UTF-16 units. */
function startOf(text: string): number {
  let start = 0;
  while (start < text.length && WHITE.test(text[start]!)) start++;
  return start;
}

/** The start of white space at the end. */
function endOf(text: string, start: number): number {
  let end = text.length;
  while (end > start && WHITE.test(text[end - 1]!)) end--;
  return end;
}
