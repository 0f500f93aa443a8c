/**
 * @file White space that tokens which were added take away before or after them (`lstrip`, `rstrip`): what Unicode calls so,
 * U+0085 among it and U+FEFF not, which JavaScript's own functions take otherwise. Other tokens beside them stay.
 */
import type { SplittingTokenizer } from "./tokenizer-step.ts";

const WHITE = /\p{White_Space}/u;

/** Has tokens take away what the reference does, in the place of the library. */
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

/** Where white space at the start ends. All of it are single units of UTF-16. */
function startOf(text: string): number {
  let start = 0;
  while (start < text.length && WHITE.test(text[start]!)) start++;
  return start;
}

/** Where white space at the end begins. */
function endOf(text: string, start: number): number {
  let end = text.length;
  while (end > start && WHITE.test(text[end - 1]!)) end--;
  return end;
}
