/** @file Rules for any text, and for any text up to a mark. */
import type { Place, RuleBook } from "./automaton.ts";
import { LAST_CODE, addCharacter, otherCodes } from "./characters.ts";

/** Adds any text. */
export function addAnyText(book: RuleBook, from: Place): Place {
  const loop = book.place();
  book.skip(from, loop);
  addCharacter(book, loop, [[0, LAST_CODE]], loop);
  return loop;
}

/** Adds any text that ends with a mark of ASCII, and has it nowhere before. */
export function addTextBefore(book: RuleBook, from: Place, mark: string): Place {
  const letters = [...new Set(mark)];
  const codes = letters.map((letter) => letter.codePointAt(0)!);
  const others = otherCodes(codes.map((code) => [code, code] as const));
  // Each place has seen so much of the mark, as Knuth, Morris and Pratt find words.
  const places = Array.from(mark, () => book.place());
  const end = book.place();
  book.skip(from, places[0]!);
  for (const [seen, place] of places.entries()) {
    addCharacter(book, place, others, places[0]!);
    for (const [i, letter] of letters.entries()) {
      const text = mark.slice(0, seen) + letter;
      let kept = Math.min(text.length, mark.length);
      while (!mark.startsWith(text.slice(text.length - kept))) kept--;
      book.byte(place, codes[i]!, codes[i], kept === mark.length ? end : places[kept]);
    }
  }
  return end;
}
