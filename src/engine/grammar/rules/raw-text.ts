/** @file Rules for texts that are written as they are, up to a mark. */
import { type Place, type RuleBook, SIGHT } from "./automaton.ts";
import { type CodeRange, LAST_CODE, addCharacter, otherCodes } from "./characters.ts";
import { ANY_TIMES, type Times } from "./json-rules.ts";

export const ANY_CODE: readonly CodeRange[] = [[0, LAST_CODE]];

/**
 * Adds a text of so many characters that has a mark of ASCII nowhere. The mark may follow if it does not end as it begins. There
 * are as many places as characters are counted, times those of the mark.
 */
export function addTextWithout(book: RuleBook, from: Place, mark: string, times = ANY_TIMES): Place {
  const { least, most } = times;
  const letters = [...new Set(mark)].map((letter) => ({ letter, code: letter.charCodeAt(0) }));
  const others = otherCodes(letters.map(({ code }) => [code, code]));
  const ways = Array.from(mark, (_, seen) =>
    letters
      .map(({ letter, code }) => ({ code, to: seenOf(mark, seen, letter) }))
      .filter(({ to }) => to < mark.length),
  );
  // Each row has counted so many characters, and each of its places seen so much of the mark.
  const rows = Array.from({ length: (most ?? least) + 1 }, () => Array.from(mark, () => book.place()));
  const end = book.place();
  book.skip(from, rows[0]![0]!);
  for (const [counted, row] of rows.entries()) {
    const next = rows[counted + 1] ?? (most === null ? row : null);
    for (const [seen, place] of row.entries()) {
      book.likes[place] = rows[likeOf(counted, times)]![seen]!;
      if (counted >= least) book.skip(place, end);
      if (!next) continue;
      addCharacter(book, place, others, next[0]!);
      for (const { code, to } of ways[seen]!) book.byte(place, code, code, next[to]);
    }
  }
  return end;
}

/** How much of a mark has been seen behind so much of it and a letter, as Knuth, Morris and Pratt find words. */
function seenOf(mark: string, seen: number, letter: string): number {
  const text = mark.slice(0, seen) + letter;
  let kept = text.length;
  while (!mark.startsWith(text.slice(text.length - kept))) kept--;
  return kept;
}

/** The first row that a token does not tell from another, since both are far from the bounds. */
function likeOf(counted: number, { least, most }: Times): number {
  if (counted < least - SIGHT) return 0;
  const isFar = most !== null && counted >= least && counted < most - SIGHT;
  return isFar ? least : counted;
}
