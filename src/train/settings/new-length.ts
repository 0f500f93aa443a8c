/** @file What changes when a run is resumed with another length. */
import { findSchedule } from "../../optim/schedules.ts";
import { measuredAfter } from "../dropbp/branch-dropper.ts";
import { suitableWarmup } from "./learning-rate.ts";

/** A resumed run. */
interface NewLength {
  readonly schedule: string;
  readonly learningRate: number;
  readonly warmupSteps: number;
  /** Steps done so far. */
  readonly step: number;
  /** Former length of the run. */
  readonly before: number;
  /** New length of the run. */
  readonly now: number;
  /** Whether DropBP measures sensitivities during the run. */
  readonly measuresBranches: boolean;
}

/** Says in a sentence whether the result equals that of a run that had the new length from the start, and if not why. */
export function describeNewLength(run: NewLength): string {
  const { step, before, now, measuresBranches } = run;
  const [measured, measuredNow] = [measuredAfter(before), measuredAfter(now)];
  const reasons = [
    ...differentRates(run),
    ...(measuresBranches && measured !== measuredNow && step > Math.min(measured, measuredNow)
      ? [`DropBP measures its branches after step ${step > measured ? measured : step}, not ${measuredNow}`]
      : []),
  ];
  const whole = `a run of ${now} steps from the start`;
  return reasons.length === 0
    ? `The run now has ${now} steps instead of ${before}: its result is exactly that of ${whole}.`
    : `The run now has ${now} steps instead of ${before}: its result differs from that of ${whole}, as ${reasons.join("; ")}.`;
}

/** Compares the learning rates of the steps done so far with those of a run of the new length. */
function differentRates({
  schedule: name,
  learningRate,
  warmupSteps,
  step,
  before,
  now,
}: NewLength): string[] {
  const schedule = findSchedule(name);
  // A default warm-up would have another length in the new run.
  const isOwn = warmupSteps !== suitableWarmup(schedule, before);
  const warmupNow = isOwn ? warmupSteps : suitableWarmup(schedule, now);
  const past = (i: number): number => schedule.factor(i, before, warmupSteps);
  const isSame = Array.from({ length: step }, (_, i) => past(i) === schedule.factor(i, now, warmupNow));
  if (isSame.every(Boolean)) return [];
  const show = (factor: number): string => String(Number((learningRate * factor).toPrecision(2)));
  const next = schedule.factor(step, now, warmupSteps);
  return [
    `steps 1 to ${step} had the ${name} schedule of ${before} steps, and the learning rate goes from ${show(past(step - 1))} to ${show(next)} at step ${step + 1}`,
  ];
}
