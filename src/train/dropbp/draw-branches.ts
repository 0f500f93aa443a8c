/**
 * @file Which branches a micro-batch leaves out of the backward pass.
 *
 * Each is drawn by its own rate; where fewer than the target share of the branches (counted, not weighted) are out, those
 * of the largest rates follow, of equal rates the first. So the realised share is at least the target.
 */
import { Random, STREAM } from "../../random.ts";
import type { MicroBatchKey } from "../step/micro-batch.ts";

/** Whether each branch is left out; `uniform`: one draw of [0, 1) a branch. */
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

/** The branches that a micro-batch leaves out: a function of the seed, its step (from 0) and its number in it alone. */
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
