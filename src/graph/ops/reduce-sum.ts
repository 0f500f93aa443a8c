/** @file Sum over axes, which stay with size 1. */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import type { Dim } from "../shape.ts";
import { expandLike } from "./expand-like.ts";

type ReduceAttributes = Readonly<Record<"axes", readonly number[]>>;

export const reduceSumOp: Op<ReduceAttributes> = {
  name: "reduceSum",
  infer: ([x], { axes }) => {
    const { dtype, shape } = x as Value;
    return [{ dtype, shape: shape.map((dim, i): Dim => (axes.includes(i) ? 1 : dim)) }];
  },
  emit: (node, emitter) =>
    emitter.node(
      "ReduceSum",
      [emitter.name(node.inputs[0] as Value), emitter.int64(node.attributes.axes)],
      [emitter.name(node.outputs[0] as Value)],
      { keepdims: 1 },
    ),
  vjp: (node, [gradient]) => [expandLike(gradient as Value, node.inputs[0] as Value)],
};

/** Sums over axes and keeps them with size 1. */
export function reduceSum(x: Value, axes: readonly number[]): Value {
  return applyOne(reduceSumOp, [x], { axes });
}
