/**
 * @file Where the tokens of a prompt are in its text, where they do not decode to it: what a vocabulary lacks is one unknown
 * token, and a tokenizer may write characters otherwise. Places are counted in code points.
 */
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";

/** Characters in which a token is looked for: behind unknown ones, and where the text has some that no token has. */
const MAX_UNKNOWN = 4096;
const MAX_DRIFT = 8;
/** Of places that it has there, those that are tried, and how far. */
const MAX_TRIES = 4;
const MAX_SHARED = 256;

/** Finds where each token of a text begins, in order; null: the tokens decode to the text, so that their lengths tell. */
export function promptPlaces(
  tokenizer: Tokenizer,
  {
    ids,
    text,
    shownIds,
  }: { readonly ids: readonly number[]; readonly text: string; readonly shownIds?: ReadonlySet<number> },
): number[] | null {
  const options = { skipSpecialTokens: true, ...(shownIds && { shownIds }) };
  if (tokenizer.decode(ids, options) === text) return null;
  const places = ids.map(() => 0);
  const stream = tokenizer.stream(options);
  let end = 0;
  let unknown: number[] = [];
  const settle = (until: number): void => {
    const shares = sharedBy(text.slice(end, until), unknown.length);
    for (const [i, index] of unknown.entries()) places[index] = end + (shares?.[i] ?? 0);
    unknown = [];
  };
  for (const [i, id] of ids.entries()) {
    const own = stream.push(id);
    if (id === tokenizer.unkId && !text.startsWith(own, end)) {
      unknown.push(i);
      continue;
    }
    const found = findPart(text, own, end, unknown.length);
    settle(found.start);
    places[i] = found.start;
    end = found.end;
  }
  settle(text.length);
  return inCodePoints(text, places);
}

/** Where a token is in a text from `from` on, behind so many unknown ones; one that is written otherwise there has no length. */
function findPart(
  text: string,
  own: string,
  from: number,
  numUnknown: number,
): { readonly start: number; readonly end: number } {
  const window = text.slice(from, from + (numUnknown > 0 ? MAX_UNKNOWN : MAX_DRIFT) + own.length);
  for (const part of own.trim() === "" ? [own] : [own, own.trim()]) {
    const found = part === "" ? [] : placesIn(window, part, Math.sign(numUnknown));
    // It may be a part of what is unknown too.
    const start =
      found.find((at) => at < MAX_SHARED && sharedBy(window.slice(0, at), numUnknown) !== null) ?? found[0];
    if (start !== undefined) return { start: from + start, end: from + start + part.length };
  }
  return { start: from, end: from };
}

/** The first places of a part of a text. */
function placesIn(text: string, part: string, from: number): number[] {
  const places: number[] = [];
  for (
    let at = text.indexOf(part, from);
    at >= 0 && places.length < MAX_TRIES;
    at = text.indexOf(part, at + 1)
  )
    places.push(at);
  return places;
}

/** Where each of several unknown tokens begins in what they share, a word or a character each; null: that is not so. */
function sharedBy(text: string, num: number): number[] | null {
  const words = Array.from(text.matchAll(/\S+/g), ({ index }) => index);
  const characters = Array.from(text.matchAll(/\S/gu), ({ index }) => index);
  return [words, characters].find(({ length }) => length === num) ?? null;
}

/** Counts code points before places in a text, which never fall. */
function inCodePoints(text: string, places: readonly number[]): number[] {
  let num = 0;
  let at = 0;
  return places.map((place) => {
    for (; at < place; num++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
    return num;
  });
}
