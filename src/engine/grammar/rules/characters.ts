/** @file Characters of Unicode as bytes of UTF-8: ranges of code points become edges between places. */
import type { Place, RuleBook } from "./automaton.ts";

/** Code points from the first to the last. */
export type CodeRange = readonly [number, number];

export const LAST_CODE = 0x10ffff;
/**
 * Ranges of equal length in UTF-8, without surrogates, which are no characters, and without U+FEFF, which decoders drop as a byte
 * order mark.
 */
const LENGTHS: readonly CodeRange[] = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xfefe],
  [0xff00, 0xffff],
  [0x10000, LAST_CODE],
];
/** Characters of more than one byte. */
export const WIDE: readonly CodeRange[] = [[0x80, LAST_CODE]];

/** Sorts ranges and joins those that touch. */
export function joinRanges(ranges: readonly CodeRange[]): CodeRange[] {
  const joined: [number, number][] = [];
  for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else joined.push([low, high]);
  }
  return joined;
}

/** All other code points. */
export function otherCodes(ranges: readonly CodeRange[]): CodeRange[] {
  const others: CodeRange[] = [];
  let from = 0;
  for (const [low, high] of joinRanges(ranges)) {
    if (low > from) others.push([from, low - 1]);
    from = high + 1;
  }
  if (from <= LAST_CODE) others.push([from, LAST_CODE]);
  return others;
}

/** The code points in both. */
export function commonCodes(a: readonly CodeRange[], b: readonly CodeRange[]): CodeRange[] {
  return a.flatMap(([low, high]) =>
    b.flatMap(([from, to]): CodeRange[] => {
      const [first, last] = [Math.max(low, from), Math.min(high, to)];
      return first <= last ? [[first, last]] : [];
    }),
  );
}

/** Adds edges for one character of some ranges. */
export function addCharacter(book: RuleBook, from: Place, ranges: readonly CodeRange[], to: Place): void {
  const joined = joinRanges(ranges);
  for (const [low, high] of commonCodes(joined, [[0, 0x7f]])) book.byte(from, low, high, to);
  const wide = commonCodes(joined, WIDE);
  if (wide.length === 0) return;
  const rule = book.rule(`characters ${wide.join()}`, (start) => {
    const end = book.place();
    for (const [low, high] of commonCodes(wide, LENGTHS))
      addBytes(book, { from: start, to: end }, { low: encode(low), high: encode(high) });
    return end;
  });
  book.call(from, rule, to);
}

function encode(code: number): number[] {
  return [...new TextEncoder().encode(String.fromCodePoint(code))];
}

/**
 * Adds edges for byte sequences that, read as one number, lie between two of equal length; all but the first byte are in `rest`,
 * by default the continuation bytes of UTF-8.
 */
export function addBytes(
  book: RuleBook,
  { from, to }: { readonly from: Place; readonly to: Place },
  { low, high }: { readonly low: readonly number[]; readonly high: readonly number[] },
  rest: CodeRange = [0x80, 0xbf],
): void {
  const [[first = 0, ...lowRest], [last = 0, ...highRest]] = [low, high];
  const go = (start: Place, lowest: readonly number[], highest: readonly number[]): void =>
    addBytes(book, { from: start, to }, { low: lowest, high: highest }, rest);
  if (lowRest.length === 0) {
    book.byte(from, first, last, to);
    return;
  }
  if (first === last) {
    go(book.byte(from, first), lowRest, highRest);
    return;
  }
  const [least, most] = [lowRest.map(() => rest[0]), lowRest.map(() => rest[1])];
  const isLowWhole = lowRest.every((byte) => byte === rest[0]);
  const isHighWhole = highRest.every((byte) => byte === rest[1]);
  if (!isLowWhole) go(book.byte(from, first), lowRest, most);
  const [second, beforeLast] = [isLowWhole ? first : first + 1, isHighWhole ? last : last - 1];
  if (second <= beforeLast) go(book.byte(from, second, beforeLast), least, most);
  if (!isHighWhole) go(book.byte(from, last), least, highRest);
}
