/**
 * @file Rules for lists without equal items, where few values are possible. There is one place for each set of values that a list
 * can have so far.
 */
import type { Place } from "../rules/automaton.ts";
import type { JsonRules, Times } from "../rules/json-rules.ts";

/** There is a place for each set: 4096 for 12 values. */
export const MAX_UNIQUE = 12;

/** JSON of the values that an item may have, by its index in the list. */
type ItemTexts = (index: number) => readonly string[];

/** Adds a list after its opening bracket, of which the items have at most `MAX_UNIQUE` texts. Returns where it ends. */
export function addUnique(json: JsonRules, inside: Place, textsAt: ItemTexts, { least, most }: Times): Place {
  const { book } = json;
  const end = book.place();
  // The map grows during the iteration.
  const places = new Map([["", { place: inside, texts: [] as readonly string[] }]]);
  for (const { place, texts } of places.values()) {
    if (texts.length >= least) book.skip(place, end);
    const free =
      texts.length < (most ?? Infinity) ? textsAt(texts.length).filter((text) => !texts.includes(text)) : [];
    if (free.length === 0) continue;
    const start = texts.length === 0 ? place : json.comma(place);
    for (const text of free) {
      const next = [...texts, text].sort();
      const name = next.join();
      const found = places.get(name) ?? { place: book.place(), texts: next };
      places.set(name, found);
      const rule = book.rule(`text ${text}`, (from) => book.text(from, text));
      book.call(start, rule, found.place);
    }
  }
  return end;
}
