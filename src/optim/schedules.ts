/** @file The list of learning-rate schedules. All rise during the warm-up and differ in what follows. */
import { findNamed } from "../messages/find-named.ts";
import type { Schedule } from "./schedule.ts";

/** Adam's moments are few steps old at first, and a step by them is as large as one by many. */
const WARMUP_SHARE = 0.05;

/** Makes a schedule from its course after the warm-up: `after(0)` at its first step, `after(1)` at the end of the run. */
function withWarmup(name: string, warmupShare: number, after: (progress: number) => number): Schedule {
  return {
    name,
    warmupShare,
    factor: (step, totalSteps, warmupSteps) => {
      if (step < warmupSteps) return step / warmupSteps;
      return after(Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps)));
    },
  };
}

export const SCHEDULES: readonly Schedule[] = [
  // None, so that a run that is made longer is the run of that length.
  withWarmup("constant", 0, () => 1),
  withWarmup("linear", WARMUP_SHARE, (progress) => 1 - progress),
  withWarmup("cosine", WARMUP_SHARE, (progress) => 0.5 * (1 + Math.cos(Math.PI * progress))),
];

/** Finds a schedule by name. @throws UsageError "usage/flag" when there is none. */
export function findSchedule(name: string): Schedule {
  return findNamed("schedule", SCHEDULES, name);
}
