/** @file What it means that a run, when it goes on, is to have another length than before. */
import { findSchedule } from "../../optim/schedules.ts";
import { measuredAfter } from "../dropbp/branch-dropper.ts";
import { suitableWarmup } from "./learning-rate.ts";

/** A run that goes on. */
interface NewLength {
  readonly schedule: string;
  readonly learningRate: number;
  readonly warmupSteps: number;
  /** Steps that are done. */
  readonly step: number;
  /** Steps that the run was to have. */
  readonly before: number;
  /** Steps that it is to have. */
  readonly now: number;
  /** Whether DropBP measures the branches on the way. */
  readonly measuresBranches: boolean;
}

/** Says in a sentence whether the result is that of a run that had the new length from the start, and why not. */
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

/** Compares the rates of the steps that are done with those of a run of the new length. */
function differentRates({
  schedule: name,
  learningRate,
  warmupSteps,
  step,
  before,
  now,
}: NewLength): string[] {
  const schedule = findSchedule(name);
  // A warm-up that nobody chose would have another length.
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
