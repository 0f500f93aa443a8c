/** @file Softmax over the last axis. Derivative: dx = y ∘ (dy - Σ dy ∘ y). */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { mul } from "./mul.ts";
import { reduceSum } from "./reduce-sum.ts";
import { sub } from "./sub.ts";

export const softmaxOp: Op<Record<string, never>> = {
  name: "softmax",
  infer: ([x]) => [{ dtype: (x as Value).dtype, shape: (x as Value).shape }],
  emit: (node, emitter) => emitter.simple(node, "Softmax", { axis: -1 }),
  vjp: (node, [gradient]) => {
    const y = node.outputs[0] as Value;
    const dy = gradient as Value;
    return [mul(y, sub(dy, reduceSum(mul(dy, y), [y.shape.length - 1])))];
  },
};

/** Normalises the last axis to a distribution. */
export function softmax(x: Value): Value {
  return applyOne(softmaxOp, [x], {});
}
