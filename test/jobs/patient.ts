/** @file Waiting for a database or a store as long as it takes, without waiting between two tries. */
import type { Patience } from "../../src/jobs/while-away.ts";

export function patient(): Patience {
  return {
    clock: { nowMs: () => 0, sleep: () => Promise.resolve() },
    signal: new AbortController().signal,
    troubles: { onTrouble: () => {} },
    onAway: () => {},
  };
}
