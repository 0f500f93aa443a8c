/**
 * @file How long files may keep us busy: patterns and templates are programs, whose time may grow with the square of a text.
 *
 * Each text earns time and takes what it uses, so that slow texts among many are refused soon, and neither a slow machine nor
 * a busy one is an error. The clock is read between steps, seldom: a step tells about how many characters it may have looked at.
 */

/** What is saved up at most, and what each text and each of its characters earns: some ten times what slow ones take. */
const [SPARE_MS, MS_OF_TEXT, MS_OF_CHARACTER] = [3000, 10, 0.01];
/** Characters that are looked at between two readings of the clock. */
const READ_EVERY = 1e6;

/** What Node tells from version 23.9 on, in microseconds. */
interface ToldWork {
  readonly process?: { threadCpuUsage?(): { readonly user: number; readonly system: number } };
}

/** Tells the milliseconds that this thread has worked, and not waited for a processor; the time, where that is not known. */
export function workedMs(): number {
  const worked = (globalThis as ToldWork).process?.threadCpuUsage?.();
  return worked ? (worked.user + worked.system) / 1000 : performance.now();
}

/** Thrown when the time is over. */
export class OutOfTime extends Error {}

/** Time for one text after another. */
export class TimeBudget {
  readonly #now: () => number;
  #leftMs = SPARE_MS;
  #startMs = 0;
  #unread = 0;

  constructor(now: () => number = workedMs) {
    this.#now = now;
  }

  /** Does some work on a text of so many characters; `spend` is called while it goes on. @throws OutOfTime */
  use<T>(length: number, work: () => T): T {
    this.#leftMs = Math.min(SPARE_MS, Math.max(0, this.#leftMs) + MS_OF_TEXT) + length * MS_OF_CHARACTER;
    [this.#startMs, this.#unread] = [this.#now(), 0];
    try {
      return work();
    } finally {
      this.#leftMs -= this.#now() - this.#startMs;
    }
  }

  /** Tells of a step that looked at about so many characters. @throws OutOfTime */
  spend(numCharacters: number): void {
    this.#unread += numCharacters;
    if (this.#unread < READ_EVERY) return;
    this.#unread = 0;
    const usedMs = this.#now() - this.#startMs;
    if (usedMs <= this.#leftMs) return;
    throw new OutOfTime(`it does not end: ${(usedMs / 1000).toFixed(1)} s so far, for one text`);
  }
}
