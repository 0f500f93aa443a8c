/** @file Mean over axes, which stay with size 1; the axes must have known sizes. */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { expandLike } from "./expand-like.ts";
import { mul } from "./mul.ts";
import { reducedType } from "./reduce-sum.ts";

type ReduceAttributes = Readonly<Record<"axes", readonly number[]>>;

export const reduceMeanOp: Op<ReduceAttributes> = {
  name: "reduceMean",
  infer: ([x], { axes }) => [reducedType(x as Value, axes)],
  emit: (node, emitter) =>
    emitter.node(
      "ReduceMean",
      [emitter.name(node.inputs[0] as Value), emitter.int64(node.attributes.axes)],
      [emitter.name(node.outputs[0] as Value)],
      { keepdims: 1, noop_with_empty_axes: 1 },
    ),
  vjp: (node, [gradient]) => {
    const x = node.inputs[0] as Value;
    const count = node.attributes.axes.reduce((product, axis) => product * knownSize(x, axis), 1);
    return [expandLike(mul(gradient as Value, x.graph.scalar(1 / count)), x)];
  },
};

/** Averages over axes of known size and keeps them with size 1. */
export function reduceMean(x: Value, axes: readonly number[]): Value {
  return applyOne(reduceMeanOp, [x], { axes });
}

function knownSize(x: Value, axis: number): number {
  const size = x.shape[axis];
  if (typeof size !== "number")
    throw new RangeError(`Cannot differentiate a mean over axis ${axis}: size ${size} is unknown`);
  return size;
}
