/** @file Waiting for something to be so, on machines however busy. */
import { setTimeout } from "node:timers/promises";

/** Least and most time between two questions. */
const [LEAST_MS, MOST_MS] = [2, 40];
/** Rest after a question, in times of what it took: on few processors it is taken from what is waited for. */
const REST = 4;
/** What is not so by then will never be: nothing takes as long, not even on a busy machine. */
const LIMIT_MS = 600_000;

/** Asks until the answer is neither false, null nor undefined, and returns it. @throws Error with the question after ten minutes */
export async function waitFor<T>(ask: () => T | Promise<T>): Promise<Exclude<T, false | null | undefined>> {
  for (const begunMs = performance.now(); ;) {
    const startedMs = performance.now();
    const answer = await ask();
    if (answer !== false && answer != null) return answer as Exclude<T, false | null | undefined>;
    if (startedMs - begunMs > LIMIT_MS) throw new Error(`waited in vain for ${String(ask)}`);
    await setTimeout(Math.min(MOST_MS, Math.max(LEAST_MS, REST * (performance.now() - startedMs))));
  }
}
