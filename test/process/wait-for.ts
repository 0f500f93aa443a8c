/** @file Waiting for something to be so, however long it takes. */
import { setTimeout } from "node:timers/promises";

/**
 * Asks until the answer is neither false, null nor undefined, and returns it. Not in a spinning loop, which would take the
 * processor from what it waits for.
 */
export async function waitFor<T>(ask: () => T | Promise<T>): Promise<Exclude<T, false | null | undefined>> {
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer != null) return answer as Exclude<T, false | null | undefined>;
    await setTimeout(2);
  }
}
