/** @file What several rules have in common: a place of it is a state of each side, so that both are followed at once. */
import { Automaton, type Place, type RuleBook, type State } from "./automaton.ts";

/**
 * What may be written in each of several ways, of which there is one at least; none of them may call what calls this. `name`
 * tells it from others.
 * @throws UsageError "usage/grammar" for one that is too large
 */
export function common(
  book: RuleBook,
  from: Place,
  name: string,
  ways: readonly ((from: Place) => Place)[],
): Place {
  const both = (one: (from: Place) => Place, other: (from: Place) => Place, i: number) => {
    return (at: Place): Place => {
      const [a, b] = [one, other].map((way, side) => book.rule(`${side} of common ${i} ${name}`, way));
      return book.call(
        at,
        book.rule(`common ${i} ${name}`, (start) => addPairs(book, start, a!, b!)),
      );
    };
  };
  return ways.reduce(both)(from);
}

/** Adds places for all states of two rules that are reached together. */
function addPairs(book: RuleBook, start: Place, ...rules: readonly [Place, Place]): Place {
  const [one, other] = [new Automaton(book, rules[0]), new Automaton(book, rules[1])];
  const end = book.place();
  const places = new Map<State, Map<State, Place>>();
  const todo: { readonly a: State; readonly b: State; readonly place: Place }[] = [];
  const placeOf = (a: State, b: State): Place => {
    const beside = places.get(a) ?? new Map<State, Place>();
    places.set(a, beside);
    const place = beside.get(b) ?? book.place();
    if (!beside.has(b)) todo.push({ a, b, place });
    beside.set(b, place);
    return place;
  };
  if (one.start && other.start) book.skip(start, placeOf(one.start, other.start));
  // It grows while it is walked through.
  for (const { a, b, place } of todo) {
    if (a.isEnd && b.isEnd) book.skip(place, end);
    one.beginToken();
    other.beginToken();
    for (let low = 0, high = 0; low < 256; low = ++high) {
      const nextA = one.next(a, low);
      const nextB = nextA && other.next(b, low);
      const goesOn = (byte: number): boolean =>
        one.next(a, byte) === nextA && (nextA === null || other.next(b, byte) === nextB);
      while (high < 255 && goesOn(high + 1)) high++;
      if (nextA && nextB) book.byte(place, low, high, placeOf(nextA, nextB));
    }
  }
  return end;
}
