/** @file The largest along axes, which stay with size 1. It is for measuring, and has no gradient. */
import { applyOne, type Op, type Value } from "../../graph.ts";
import { type ReduceAttributes, reducedType } from "../shapes/reduce-expand.ts";

export const reduceMaxOp: Op<ReduceAttributes, readonly [Value]> = {
  name: "reduceMax",
  infer: ([x], { axes }) => [reducedType(x, axes)],
  emit: (node, emitter) => {
    const [x] = emitter.names(node.inputs);
    emitter.node("ReduceMax", [x, emitter.int64(node.attributes.axes)], emitter.names(node.outputs), {
      keepdims: 1,
      noop_with_empty_axes: 1,
    });
  },
  vjp: "not-differentiable",
};

/** Takes the largest over axes, of at least one element each, and keeps them with size 1. */
export function reduceMax(x: Value, axes: readonly number[]): Value {
  return applyOne(reduceMaxOp, [x], { axes });
}
