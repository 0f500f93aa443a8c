/** @file Axes in another order. */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import type { Dim } from "../shape.ts";

type TransposeAttributes = Readonly<Record<"order", readonly number[]>>;

export const transposeOp: Op<TransposeAttributes> = {
  name: "transpose",
  infer: ([x], { order }) => {
    const { dtype, shape } = x as Value;
    if (order.length !== shape.length || shape.some((_, axis) => !order.includes(axis))) {
      throw new RangeError(`Cannot transpose ${shape.length} axes by [${order.join(", ")}]`);
    }
    return [{ dtype, shape: order.map((axis) => shape[axis] as Dim) }];
  },
  emit: (node, emitter) => emitter.simple(node, "Transpose", { perm: node.attributes.order }),
  vjp: (node, [gradient]) => {
    const { order } = node.attributes;
    return [
      transpose(
        gradient as Value,
        order.map((_, axis) => order.indexOf(axis)),
      ),
    ];
  },
};

/** Puts axis `order[i]` of the input at place i. */
export function transpose(x: Value, order: readonly number[]): Value {
  return applyOne(transposeOp, [x], { order });
}
