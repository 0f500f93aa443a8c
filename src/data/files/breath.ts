/** @file Lets long work on the main thread pause regularly, so that the thread can answer clients and handle signals. */
import { setImmediate } from "node:timers/promises";

/** How long work may occupy the thread without a pause. */
const BREATHE_EVERY_MS = 10;

export class Breath {
  #tookMs = performance.now();

  /** Yields the thread if that is due; null: it is not. */
  take(): Promise<void> | null {
    if (performance.now() - this.#tookMs < BREATHE_EVERY_MS) return null;
    return setImmediate().then(() => void (this.#tookMs = performance.now()));
  }
}

/** Runs work that may pause at each `yield`. */
export async function breathing<T>(work: Generator<void, T, void>): Promise<T> {
  const breath = new Breath();
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    const taken = breath.take();
    if (taken !== null) await taken;
  }
}
