/** @file The clock of this process. */
import { setTimeout } from "node:timers/promises";
import type { Clock } from "./clock.ts";

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  sleep: async (timeMs, signal) => {
    try {
      await setTimeout(timeMs, undefined, signal ? { signal } : {});
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  },
};
