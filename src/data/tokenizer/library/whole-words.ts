/**
 * @file Added tokens that are found only as whole words (`single_word`). The library also finds them inside words; here they
 * stay text beside a word character, by the definition of Rust's regex.
 */
import type { SplittingTokenizer } from "./tokenizer-step.ts";

/** Match a word character at the end of a text, and at its beginning. */
const [BEFORE, BEHIND] = ["X$", "^X"].map(
  (at) => new RegExp(at.replace("X", "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]"), "u"),
) as [RegExp, RegExp];

/** Makes whole-word tokens be found where the reference finds them. */
export function keepWholeWords(hub: SplittingTokenizer): void {
  const { added_tokens_map: added, normalizer } = hub;
  // The second splitter knows the words of the first, which it may see in the text that the first has left.
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
      // The library recognises tokens by their text, and would take this text for one.
      if (odd)
        throw new Error(
          `${JSON.stringify(odd.text)} is a separate token as text, but not as the token for whole words`,
        );
      return parts.map((part) => part.text);
    };
  }
}

/** Whether a word character, which may have two UTF-16 units, is next to a part of a text. */
function isBesideWord(text: string, start: number, end: number): boolean {
  return BEFORE.test(text.slice(Math.max(0, start - 2), start)) || BEHIND.test(text.slice(end, end + 2));
}
