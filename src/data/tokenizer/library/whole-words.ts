/**
 * @file Tokens that were added for whole words alone (`single_word`), which the library finds within words as well: beside a
 * character of words, as Rust's expressions have them, they are text.
 */
import type { SplittingTokenizer } from "./tokenizer-step.ts";

/** At the end of a text and at its beginning. */
const [BEFORE, BEHIND] = ["X$", "^X"].map(
  (at) => new RegExp(at.replace("X", "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]"), "u"),
) as [RegExp, RegExp];

/** Has tokens for whole words be found where the reference finds them. */
export function keepWholeWords(hub: SplittingTokenizer): void {
  const { added_tokens_map: added, normalizer } = hub;
  // Words of the first splitter are known to the second, which sees what it has left.
  const words = new Set<string>();
  for (const splitter of [hub.splitter_unnormalized, hub.splitter_normalized]) {
    const isNormalized = splitter === hub.splitter_normalized;
    const own = [...added].filter(([, token]) => (token.normalized && normalizer !== null) === isNormalized);
    const tokens = new Map(own);
    for (const [text, { single_word: isWord }] of own) if (isWord) words.add(text);
    if (words.size === 0) continue;
    const texts = new Set(words);
    const split = splitter.split.bind(splitter);
    const isToken = (part: string, start: number, text: string): boolean => {
      const token = tokens.get(part);
      return token !== undefined && !(token.single_word && isBesideWord(text, start, start + part.length));
    };
    splitter.split = (text) => {
      const parts: { text: string; isToken: boolean }[] = [];
      let start = 0;
      for (const part of split(text)) {
        const last = parts.at(-1);
        const found = isToken(part, start, text);
        if (last && !found && !last.isToken) last.text += part;
        else parts.push({ text: part, isToken: found });
        start += part.length;
      }
      const odd = parts.find((part) => !part.isToken && texts.has(part.text));
      // The library tells tokens by their text, and would take it for one.
      if (odd)
        throw new Error(
          `${JSON.stringify(odd.text)} is a separate token as text, but not as the token for whole words`,
        );
      return parts.map((part) => part.text);
    };
  }
}

/** Whether a character of words, which may be two units of UTF-16, stands before some part of a text or behind it. */
function isBesideWord(text: string, start: number, end: number): boolean {
  return BEFORE.test(text.slice(Math.max(0, start - 2), start)) || BEHIND.test(text.slice(end, end + 2));
}
