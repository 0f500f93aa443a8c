/** @file Reorders axes. */
import { applyOne, type Op, type Value } from "../../graph.ts";
import { dimAt, showShape } from "../../shape.ts";

type TransposeAttributes = Readonly<Record<"order", readonly number[]>>;

export const transposeOp: Op<TransposeAttributes, readonly [Value]> = {
  name: "transpose",
  infer: ([{ dtype, shape }], { order }) => {
    if (order.length !== shape.length || shape.some((_, axis) => !order.includes(axis))) {
      throw new RangeError(`Cannot transpose ${shape.length} axes by ${showShape(order)}`);
    }
    return [{ dtype, shape: order.map((axis) => dimAt(shape, axis)) }];
  },
  emit: (node, emitter) => emitter.simple(node, "Transpose", { perm: node.attributes.order }),
  vjp: ({ attributes: { order } }, [gradient]) => {
    const back = order.map((_, axis) => order.indexOf(axis));
    return [transpose(gradient, back)];
  },
};

/**
 * Moves axis `order[i]` of the input to axis i: [B, T, D] in the order 0, 2, 1 gives [B, D, T].
 * @throws RangeError where `order` does not contain each axis once
 */
export function transpose(x: Value, order: readonly number[]): Value {
  return applyOne(transposeOp, [x], { order });
}
