/**
 * @file Rules over bytes that may call each other, and the states that a text following them can be in.
 *
 * A rule is a graph of nodes (places). A state is the set of all places in rules where the next byte may be, each with the calls
 * to which it returns. States are made when they are first reached; equal states are the same object.
 */
import { UsageError } from "../../../errors.ts";

export type Place = number;

/** Adds part of a rule from a place on, and returns the place where it ends. */
export type Way = (from: Place) => Place;

/** Most bytes of a token; places that differ only further ahead are equal for tokens. */
export const SIGHT = 32;
/** Limits for the places of one grammar, and for the places visited for one token. */
const [MAX_PLACES, MAX_WORK] = [50_000, 1_000_000];
/** Entries of a state's table: one for each byte. */
const ROW = 256;
/** Limit for the table entries and places of all kept states; beyond it, states are made anew when they are reached again. */
const MAX_KEPT = 4096 * ROW;

interface Edge {
  readonly low: number;
  readonly high: number;
  readonly to: Place;
}

/** Calls that a place returns to, the innermost first. */
interface Calls {
  readonly id: number;
  readonly to: Place;
  readonly below: Calls | null;
}

/** A place, and the calls around it. */
interface Config {
  readonly place: Place;
  readonly calls: Calls | null;
}

/** The ways in which a text may continue. */
export interface State {
  /** Whether the text may end here. */
  readonly isEnd: boolean;
  /** The state after each byte; null: the byte may not follow, undefined: not known yet. */
  readonly row: (State | null | undefined)[];
  readonly configs: readonly Config[];
  /** Equal for states after which the same tokens may follow; null: not computed yet. */
  view: string | null;
}

/** @throws UsageError "usage/grammar" */
function tooLarge(found: string): UsageError {
  return new UsageError("usage/grammar", `Cannot constrain a text to a grammar: ${found}`, {
    hint: "Make the schema or its patterns smaller.",
  });
}

/** The places of rules, and what leads from one to another. */
export class RuleBook {
  readonly edges: Edge[][] = [];
  readonly skips: Place[][] = [];
  readonly calls: { readonly rule: Place; readonly to: Place }[][] = [];
  readonly ends: boolean[] = [];
  /** For each place, one after which the same texts of up to `SIGHT` bytes may follow. */
  readonly likes: Place[] = [];
  readonly #rules = new Map<string, Place>();

  /** Adds a place. @throws UsageError "usage/grammar" when there are too many */
  place(): Place {
    if (this.ends.length >= MAX_PLACES) throw tooLarge(`it has more than ${MAX_PLACES} places`);
    this.edges.push([]);
    this.skips.push([]);
    this.calls.push([]);
    this.likes.push(this.likes.length);
    return this.ends.push(false) - 1;
  }

  /** Adds an edge from a place to another for one byte of a range. */
  byte(from: Place, low: number, high = low, to = this.place()): Place {
    this.edges[from]!.push({ low, high, to });
    return to;
  }

  /** Adds an edge that takes no byte. */
  skip(from: Place, to: Place): void {
    this.skips[from]!.push(to);
  }

  /** Adds an edge that takes what a rule allows. */
  call(from: Place, rule: Place, to = this.place()): Place {
    this.calls[from]!.push({ rule, to });
    return to;
  }

  /** Adds edges for the bytes of a text in UTF-8. */
  text(from: Place, text: string): Place {
    return this.bytes(from, new TextEncoder().encode(text));
  }

  bytes(from: Place, bytes: Iterable<number>): Place {
    let at = from;
    for (const byte of bytes) at = this.byte(at, byte);
    return at;
  }

  /** Finds the rule of a name, or builds it; it may call itself. `build` returns where the rule ends. */
  rule(name: string, build: (start: Place) => Place): Place {
    const known = this.#rules.get(name);
    if (known !== undefined) return known;
    const start = this.place();
    this.#rules.set(name, start);
    this.ends[build(start)] = true;
    return start;
  }
}

export class Automaton {
  /** The state before the first byte; null: no text follows the rules. */
  readonly start: State | null;
  readonly #book: RuleBook;
  /** Places from which the end of their rule can be reached. */
  readonly #isLive: Uint8Array;
  readonly #callsOf = new Map<string, Calls>();
  readonly #states = new Map<string, State>();
  #numKept = 0;
  #numCalls = 0;
  #work = 0;

  constructor(book: RuleBook, rule: Place) {
    this.#book = book;
    this.#isLive = findLive(book);
    this.start = this.#stateOf([{ place: rule, calls: null }]);
  }

  /** Resets the count of work for another token. */
  beginToken(): void {
    this.#work = 0;
  }

  /** The state after a byte; null: the byte may not follow. @throws UsageError "usage/grammar" when finding out takes too long */
  next(state: State, byte: number): State | null {
    const known = state.row[byte];
    if (known !== undefined) return known;
    let [low, high] = [0, ROW - 1];
    const targets: Config[] = [];
    for (const { place, calls } of state.configs) {
      for (const edge of this.#book.edges[place]!) {
        if (edge.low > byte) high = Math.min(high, edge.low - 1);
        else if (edge.high < byte) low = Math.max(low, edge.high + 1);
        else {
          low = Math.max(low, edge.low);
          high = Math.min(high, edge.high);
          targets.push({ place: edge.to, calls });
        }
      }
    }
    this.#spend(state.configs.length);
    const next = targets.length === 0 ? null : this.#stateOf(targets);
    state.row.fill(next, low, high + 1);
    return next;
  }

  /** The state after some bytes, one character each; null: they may not follow. */
  follow(state: State, bytes: string): State | null {
    let at: State | null = state;
    for (let i = 0; i < bytes.length && at; i++) at = this.next(at, bytes.charCodeAt(i));
    return at;
  }

  /** A string that is equal for states after which the same tokens may follow. */
  viewOf(state: State): string {
    const { likes } = this.#book;
    const describe = ({ place, calls }: Config): string => {
      let text = `${likes[place]}`;
      for (let call = calls; call; call = call.below) text += `<${likes[call.to]}`;
      return text;
    };
    state.view ??= [...new Set(state.configs.map(describe))].sort().join();
    return state.view;
  }

  #spend(amount: number): void {
    this.#work += amount;
    if (this.#work > MAX_WORK) throw tooLarge("it has too many possible continuations");
  }

  /** Follows the edges that take no byte. */
  #stateOf(configs: readonly Config[]): State | null {
    const { edges, skips, calls: callsAt, ends } = this.#book;
    const todo = [...configs];
    const seen = new Set<number>();
    const kept: (Config & { readonly key: number })[] = [];
    let isEnd = false;
    for (let config = todo.pop(); config; config = todo.pop()) {
      const { place, calls } = config;
      const key = (calls?.id ?? 0) * MAX_PLACES + place;
      if (this.#isLive[place] === 0 || seen.has(key)) continue;
      seen.add(key);
      if (edges[place]!.length > 0) kept.push({ place, calls, key });
      for (const to of skips[place]!) todo.push({ place: to, calls });
      for (const { rule, to } of callsAt[place]!) {
        if (this.#isLive[to] === 1) todo.push({ place: rule, calls: this.#callsTo(to, calls) });
      }
      if (!ends[place]) continue;
      if (calls) todo.push({ place: calls.to, calls: calls.below });
      else isEnd = true;
    }
    this.#spend(seen.size);
    if (kept.length === 0 && !isEnd) return null;
    kept.sort((a, b) => a.key - b.key);
    const name = `${kept.map(({ key }) => key).join()}${isEnd ? "!" : ""}`;
    const known = this.#states.get(name);
    if (known) return known;
    this.#numKept += ROW + kept.length;
    if (this.#numKept > MAX_KEPT) this.#forget();
    const state: State = { isEnd, row: Array.from({ length: ROW }), configs: kept, view: null };
    this.#states.set(name, state);
    return state;
  }

  /** Forgets all states. States that texts are in stay valid: they compute their next states again. */
  #forget(): void {
    for (const state of [this.start, ...this.#states.values()]) state?.row.fill(undefined);
    this.#states.clear();
    this.#callsOf.clear();
    this.#numKept = 0;
  }

  #callsTo(to: Place, below: Calls | null): Calls | null {
    // A return to a place where a rule only ends is skipped, so that rules that call themselves last do not nest.
    const { edges, skips, calls, ends } = this.#book;
    if (ends[to] && edges[to]!.length + skips[to]!.length + calls[to]!.length === 0) return below;
    const name = `${to} ${below?.id ?? 0}`;
    const known = this.#callsOf.get(name);
    if (known) return known;
    // Ids are never reused: the states of texts may refer to forgotten calls.
    const made = { id: ++this.#numCalls, to, below };
    this.#callsOf.set(name, made);
    return made;
  }
}

/** Places from which an end can be reached, including through calls. */
function findLive({ edges, skips, calls, ends }: RuleBook): Uint8Array {
  const isLive = Uint8Array.from(ends, Number);
  const leadsOn = (place: Place): boolean =>
    edges[place]!.some(({ to }) => isLive[to] === 1) ||
    skips[place]!.some((to) => isLive[to] === 1) ||
    calls[place]!.some(({ rule, to }) => isLive[rule] === 1 && isLive[to] === 1);
  for (let hasChanged = true; hasChanged;) {
    hasChanged = false;
    for (let place = ends.length - 1; place >= 0; place--) {
      if (isLive[place] === 1 || !leadsOn(place)) continue;
      isLive[place] = 1;
      hasChanged = true;
    }
  }
  return isLive;
}
