/**
 * @file Limits how long files may keep us busy: patterns and templates are programs whose time may grow with the square of a
 * text.
 *
 * Each text adds to the budget and uses it up, so that slow texts among many are soon refused, while a slow or busy machine is no
 * error. The clock is read only now and then, between steps, which report about how many characters they may have looked at.
 */

/** The most that can be saved up, and what each text and each of its characters adds: some ten times what slow ones take. */
const [SPARE_MS, MS_OF_TEXT, MS_OF_CHARACTER] = [3000, 10, 0.01];
/** Characters between two readings of the clock. */
const READ_EVERY = 1e6;

/** Node's interface from version 23.9 on, in microseconds. */
interface ToldWork {
  readonly process?: { threadCpuUsage?(): { readonly user: number; readonly system: number } };
}

/** The milliseconds that this thread has used a processor; the current time, if that is not known. */
export function workedMs(): number {
  const worked = (globalThis as ToldWork).process?.threadCpuUsage?.();
  return worked ? (worked.user + worked.system) / 1000 : performance.now();
}

/** Thrown when the budget is used up. */
export class OutOfTime extends Error {}

/** A time budget for one text after another. */
export class TimeBudget {
  readonly #now: () => number;
  #leftMs = SPARE_MS;
  #startMs = 0;
  #unread = 0;

  constructor(now: () => number = workedMs) {
    this.#now = now;
  }

  /** Runs `work` on a text with `length` characters, which calls `spend` meanwhile. @throws OutOfTime */
  use<T>(length: number, work: () => T): T {
    this.#leftMs = Math.min(SPARE_MS, Math.max(0, this.#leftMs) + MS_OF_TEXT) + length * MS_OF_CHARACTER;
    [this.#startMs, this.#unread] = [this.#now(), 0];
    try {
      return work();
    } finally {
      this.#leftMs -= this.#now() - this.#startMs;
    }
  }

  /** Reports a step that looked at about this many characters. @throws OutOfTime */
  spend(numCharacters: number): void {
    this.#unread += numCharacters;
    if (this.#unread < READ_EVERY) return;
    this.#unread = 0;
    const usedMs = this.#now() - this.#startMs;
    if (usedMs <= this.#leftMs) return;
    throw new OutOfTime(`it does not end: ${(usedMs / 1000).toFixed(1)} s so far, for one text`);
  }
}
