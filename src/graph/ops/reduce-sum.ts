/** @file Sum over axes, which stay with size 1. */
import type { TensorType, Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Dim, showShape } from "../shape.ts";
import { expandLike } from "./expand-like.ts";

type ReduceAttributes = Readonly<Record<"axes", readonly number[]>>;

export const reduceSumOp: Op<ReduceAttributes> = {
  name: "reduceSum",
  infer: ([x], { axes }) => [reducedType(x as Value, axes)],
  emit: (node, emitter) =>
    emitter.node(
      "ReduceSum",
      [emitter.name(node.inputs[0] as Value), emitter.int64(node.attributes.axes)],
      [emitter.name(node.outputs[0] as Value)],
      { keepdims: 1, noop_with_empty_axes: 1 },
    ),
  vjp: (node, [gradient]) => [expandLike(gradient as Value, node.inputs[0] as Value)],
};

/** The type of a value whose given axes have shrunk to size 1. @throws RangeError when an axis is not there. */
export function reducedType({ dtype, shape }: Value, axes: readonly number[]): TensorType {
  if (axes.some((axis) => !(axis in shape))) {
    throw new RangeError(`Cannot reduce axes [${axes.join(", ")}] of ${showShape(shape)}: not its axes`);
  }
  return { dtype, shape: shape.map((dim, i): Dim => (axes.includes(i) ? 1 : dim)) };
}

/** Sums over axes and keeps them with size 1. */
export function reduceSum(x: Value, axes: readonly number[]): Value {
  return applyOne(reduceSumOp, [x], { axes });
}
