/**
 * @file Which branches a micro-batch leaves out of the backward pass.
 *
 * Each branch is drawn with its own rate. If fewer than the target share of the branches (counted, not weighted) are left out, those
 * with the largest rates are added, the first among equal rates. So the realised share is at least the target.
 */
import { Random, STREAM } from "../../random.ts";
import type { MicroBatchKey } from "../step/micro-batch.ts";

/** Whether each branch is left out; `uniform`: one draw from [0, 1) per branch. */
export function chooseBranches(
  rates: readonly number[],
  target: number,
  uniform: readonly number[],
): boolean[] {
  const isDropped = rates.map((rate, i) => uniform[i]! < rate);
  const byRate = [...rates.keys()].sort((a, b) => rates[b]! - rates[a]! || a - b);
  let count = isDropped.filter(Boolean).length;
  for (const i of byRate) {
    if (count / rates.length >= target) break;
    if (!isDropped[i]) count++;
    isDropped[i] = true;
  }
  return isDropped;
}

/** Whether a micro-batch leaves out each branch: depends only on the seed, the step (from 0) and its number in the step. */
export function drawBranches(
  rates: readonly number[],
  target: number,
  seed: number,
  { step, micro }: MicroBatchKey,
): boolean[] {
  const random = new Random(seed, STREAM.droppedBranches, step, micro);
  return chooseBranches(
    rates,
    target,
    rates.map(() => random.uniform()),
  );
}
