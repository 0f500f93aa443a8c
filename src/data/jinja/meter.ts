/**
 * @file Limits the work of a template: evaluating, writing and comparing costs steps, and sizes of texts and lists have a
 * bound.
 *
 * Each rendering earns steps and spends those that it uses, so one long conversation may need many, while a template with an
 * endless loop is stopped, in every row. Counting costs a few nanoseconds per step. Time is limited as well.
 */
import type { TimeBudget } from "../../untrusted/time-budget.ts";

/** Maximum of saved steps, about a second's; steps earned by a rendering, and by each of its messages. */
const [MOST_STEPS, STEPS_OF_RENDERING, STEPS_OF_MESSAGE] = [2e6, 50_000, 2000];
/** Maximum length of a list and of a text that a template makes. */
const [MAX_ITEMS, MAX_TEXT] = [100_000, 1 << 24];
/** Maximum number of nested values written at once, with repetition: a list that contains another twice doubles with each level. */
const MAX_NESTED = 1_000_000;
/** Characters of a text, and values of a list, whose reading costs one step. */
const [TEXT_OF_STEP, VALUES_OF_STEP] = [256, 8];
/** Cost of a step in the time budget, whose unit is a character. */
const CHARACTERS_OF_STEP = 1000;

export class Meter {
  readonly #budget: TimeBudget;
  #left = MOST_STEPS;

  constructor(budget: TimeBudget) {
    this.#budget = budget;
  }

  /** Renders a conversation of `numMessages` messages by `work`. @throws Error when that takes too many steps, or too long */
  render<T>(numMessages: number, work: () => T): T {
    const earned = STEPS_OF_RENDERING + STEPS_OF_MESSAGE * numMessages;
    this.#left = Math.min(MOST_STEPS, Math.max(0, this.#left) + earned);
    return this.#budget.use(earned, work);
  }

  /** Spends steps. @throws Error when none are left */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw new Error("it does not end: too many steps for so many messages");
    this.#budget.spend(CHARACTERS_OF_STEP * steps);
  }

  /** Counts a text before it is made. @throws Error when it is too long */
  text(length: number): void {
    if (length > MAX_TEXT) throw new Error(`a text of ${length} characters, expected at most ${MAX_TEXT}`);
    this.spend(Math.floor(length / TEXT_OF_STEP));
  }

  /** Counts a list before it is made. @throws Error when it is too long */
  items(length: number): void {
    if (length > MAX_ITEMS) throw new Error(`a list of ${length} items, expected at most ${MAX_ITEMS}`);
    this.spend(Math.floor(length / VALUES_OF_STEP));
  }

  /** Makes a counter for the values that one operation visits. */
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
