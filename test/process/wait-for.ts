/** @file Waiting for something to be so, however long it takes. */
import { setTimeout } from "node:timers/promises";

/** Least and most time between two questions. */
const [LEAST_MS, MOST_MS] = [2, 40];
/** Rest after a question, in times of what it took: on few processors it is taken from what is waited for. */
const REST = 4;

/** Asks until the answer is neither false, null nor undefined, and returns it. */
export async function waitFor<T>(ask: () => T | Promise<T>): Promise<Exclude<T, false | null | undefined>> {
  for (;;) {
    const startedMs = performance.now();
    const answer = await ask();
    if (answer !== false && answer != null) return answer as Exclude<T, false | null | undefined>;
    await setTimeout(Math.min(MOST_MS, Math.max(LEAST_MS, REST * (performance.now() - startedMs))));
  }
}
