/** @file Softmax over the last axis. Derivative: dx = y ∘ (dy - Σ dy ∘ y). */
import { type NoAttributes, type Op, type Value, unary } from "../../graph.ts";
import { mul, sub } from "../pointwise/elementwise.ts";
import { reduceSum } from "../shapes/reduce-expand.ts";

export const softmaxOp: Op<NoAttributes, readonly [Value]> = {
  name: "softmax",
  infer: ([{ dtype, shape }]) => [{ dtype, shape }],
  emit: (node, emitter) => emitter.simple(node, "Softmax", { axis: -1 }),
  vjp: ({ outputs: [y] }, [dy]) => [mul(y, sub(dy, reduceSum(mul(dy, y), [y.shape.length - 1])))],
};

/** Normalises the last axis to a distribution. */
export const softmax = unary(softmaxOp);
