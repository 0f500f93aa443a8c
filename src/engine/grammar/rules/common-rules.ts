/** @file Several rules that a text must follow at the same time. A place is one state of each. */
import { Automaton, type Place, type RuleBook, type State, type Way } from "./automaton.ts";

/** A state of each rule; null: it takes nothing any more. */
type States = readonly (State | null)[];

/**
 * What may be written in each of several ways, of which there is one at least; none of them may call what calls this. `name`
 * tells it from others.
 * @throws UsageError "usage/grammar" for one that is too large
 */
export function common(book: RuleBook, from: Place, name: string, ways: readonly Way[]): Place {
  const [only] = ways;
  if (only && ways.length === 1) return only(from);
  const rules = ways.map((way, side) => book.rule(`${side} of common ${name}`, way));
  const rule = book.rule(`common ${name}`, (start) => {
    const end = book.place();
    followAll(book, start, rules, {
      goesOn: (states) => !states.includes(null),
      endOf: (areEnds) => (areEnds.includes(false) ? null : end),
    });
    return end;
  });
  return book.call(from, rule);
}

/** Which texts are followed through several rules. */
interface Followed {
  /** Whether a text goes on of which the rules are in these states. */
  readonly goesOn: (states: States) => boolean;
  /** Where a text leads that ends, by which of the rules it ends in; null: nowhere. */
  readonly endOf: (areEnds: readonly boolean[]) => Place | null;
}

/** Adds places for all states of some rules that are reached together by texts that go on. */
export function followAll(
  book: RuleBook,
  start: Place,
  rules: readonly Place[],
  { goesOn, endOf }: Followed,
): void {
  const automata = rules.map((rule) => new Automaton(book, rule));
  const ids = new Map<State | null, number>();
  const idOf = (state: State | null): number => {
    const id = ids.get(state) ?? ids.size;
    ids.set(state, id);
    return id;
  };
  const known = new Map<string, { readonly place: Place; readonly states: States }>();
  const placeOf = (states: States): Place => {
    const name = states.map(idOf).join();
    const found = known.get(name) ?? { place: book.place(), states };
    known.set(name, found);
    return found.place;
  };
  const first = automata.map((automaton) => automaton.start);
  if (goesOn(first)) book.skip(start, placeOf(first));
  // It grows while it is walked through.
  for (const { place, states } of known.values()) {
    const end = endOf(states.map((state) => state?.isEnd ?? false));
    if (end !== null) book.skip(place, end);
    for (const automaton of automata) automaton.beginToken();
    const after = (state: State | null, i: number, byte: number): State | null =>
      state && automata[i]!.next(state, byte);
    for (let low = 0, high = 0; low < 256; low = ++high) {
      const next = states.map((state, i) => after(state, i, low));
      const isSame = (byte: number): boolean => states.every((state, i) => after(state, i, byte) === next[i]);
      while (high < 255 && isSame(high + 1)) high++;
      if (goesOn(next)) book.byte(place, low, high, placeOf(next));
    }
  }
}
