/** @file The list of learning-rate schedules. All rise during the warm-up and differ afterwards. */
import { findNamed } from "../messages/find-named.ts";
import type { Schedule } from "./schedule.ts";

/** Default warm-up share of most schedules: at first Adam's moments average few gradients, but its steps are as large as later. */
export const WARMUP_SHARE = 0.05;

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

function halfCosine(progress: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * progress));
}

/** Share of the peak that remains at the end, as in pretraining of large models and in MobileFineTuner (arXiv:2512.08211). */
const TENTH = 0.1;

/** The learning-rate schedules that a run may name. */
export const SCHEDULES: readonly Schedule[] = [
  // No warm-up, so that extending a run gives the same result as a run of that length.
  withWarmup("constant", 0, () => 1),
  withWarmup("linear", WARMUP_SHARE, (progress) => 1 - progress),
  withWarmup("cosine", WARMUP_SHARE, halfCosine),
  withWarmup("cosine-to-tenth", WARMUP_SHARE, (progress) => TENTH + (1 - TENTH) * halfCosine(progress)),
];

/** Finds a schedule by name. @throws UsageError "usage/flag" when there is none. */
export function findSchedule(name: string): Schedule {
  return findNamed("schedule", SCHEDULES, name);
}
