/** @file Maximum over axes, which are kept with size 1. It is for measurements and has no gradient. */
import { applyOne, type Value } from "../../graph.ts";
import { reductionOp } from "../shapes/reduce-expand.ts";

export const reduceMaxOp = reductionOp("reduceMax", "ReduceMax", "not-differentiable");

/** Takes the largest over axes, of at least one element each, and keeps them with size 1. */
export function reduceMax(x: Value, axes: readonly number[]): Value {
  return applyOne(reduceMaxOp, [x], { axes });
}
