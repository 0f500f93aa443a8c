/** @file Several rules that a text must follow at the same time. A place of the result is a combination of one state of each. */
import { Automaton, type Place, type RuleBook, type State, type Way } from "./automaton.ts";

/** A state of each rule; null: the rule allows nothing any more. */
type States = readonly (State | null)[];

/**
 * Adds the texts that all of several ways allow; there must be at least one way, and none may call what calls this. `name`
 * distinguishes the rule from others.
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

/** Selects the texts that are followed through several rules. */
interface Followed {
  /** Whether a text continues when the rules are in these states. */
  readonly goesOn: (states: States) => boolean;
  /** Where a text leads when it ends, given for each rule whether it may end there; null: the text may not end. */
  readonly endOf: (areEnds: readonly boolean[]) => Place | null;
}

/** Adds a place for each combination of states that a continuing text can reach. */
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
  // The map grows during the iteration.
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
