/** @file Long work on the thread that answers clients and hears signals: it stops now and then for what else there is to do. */
import { setImmediate } from "node:timers/promises";

/** How long work may keep the thread. */
const BREATHE_EVERY_MS = 10;

export class Breath {
  #tookMs = performance.now();

  /** Lets others have the thread, if that is due; null: it is not. */
  take(): Promise<void> | null {
    if (performance.now() - this.#tookMs < BREATHE_EVERY_MS) return null;
    return setImmediate().then(() => void (this.#tookMs = performance.now()));
  }
}

/** Does work that stops between its parts. */
export async function breathing<T>(work: Generator<void, T, void>): Promise<T> {
  const breath = new Breath();
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    const taken = breath.take();
    if (taken !== null) await taken;
  }
}
