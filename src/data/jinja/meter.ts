/**
 * @file How much a template may do: what it evaluates, writes and compares is counted, and what it makes has a bound.
 *
 * Each rendering earns steps and takes those that it uses, so that one long conversation may need many and a template that
 * loops for its own sake ends at once, in every row. Counting costs a few nanoseconds a step. The clock is looked at as well.
 */
import type { TimeBudget } from "../../untrusted/time-budget.ts";

/** Steps that are saved up at most, about a second's; and those that a rendering and each of its messages earns. */
const [MOST_STEPS, STEPS_OF_RENDERING, STEPS_OF_MESSAGE] = [2e6, 50_000, 2000];
/** Items of a list and characters of a text that a template may make. */
const [MAX_ITEMS, MAX_TEXT] = [100_000, 1 << 24];
/** Values in each other that are written at once, counted as often as they are: lists in lists double with each level. */
const MAX_NESTED = 1_000_000;
/** Characters of a text, and values of a list, whose reading costs one step. */
const [TEXT_OF_STEP, VALUES_OF_STEP] = [256, 8];
/** Cost of a step in the budget of time, which counts characters. */
const CHARACTERS_OF_STEP = 1000;

export class Meter {
  readonly #budget: TimeBudget;
  #left = MOST_STEPS;

  constructor(budget: TimeBudget) {
    this.#budget = budget;
  }

  /** Renders a conversation of so many messages. @throws Error when that takes too many steps, or too long */
  render<T>(numMessages: number, work: () => T): T {
    const earned = STEPS_OF_RENDERING + STEPS_OF_MESSAGE * numMessages;
    this.#left = Math.min(MOST_STEPS, Math.max(0, this.#left) + earned);
    return this.#budget.use(earned, work);
  }

  /** Takes steps. @throws Error when none are left */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw new Error("it does not end: too many steps for so many messages");
    this.#budget.spend(CHARACTERS_OF_STEP * steps);
  }

  /** Tells of a text that is about to be made. @throws Error when it is too long */
  text(length: number): void {
    if (length > MAX_TEXT) throw new Error(`a text of ${length} characters, expected at most ${MAX_TEXT}`);
    this.spend(Math.floor(length / TEXT_OF_STEP));
  }

  /** Tells of a list that is about to be made. @throws Error when it is too long */
  items(length: number): void {
    if (length > MAX_ITEMS) throw new Error(`a list of ${length} items, expected at most ${MAX_ITEMS}`);
    this.spend(Math.floor(length / VALUES_OF_STEP));
  }

  /** Counts the values that one work looks at. */
  counter(): (values: number) => void {
    let [count, unspent] = [0, 0];
    return (values) => {
      [count, unspent] = [count + values, unspent + values];
      if (count > MAX_NESTED) throw new Error(`more than ${MAX_NESTED} nested values`);
      if (unspent < VALUES_OF_STEP) return;
      this.spend(Math.floor(unspent / VALUES_OF_STEP));
      unspent %= VALUES_OF_STEP;
    };
  }
}
