/** @file Repeats axes of size 1 to the shape of another value, of which only the shape is read. */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { broadcastShapes, sameShape, showShape } from "../shape.ts";
import { sumTo } from "./broadcast.ts";

export const expandLikeOp: Op<Record<string, never>> = {
  name: "expandLike",
  infer: ([x, like]) => {
    const { dtype, shape } = x as Value;
    if (!sameShape(broadcastShapes("expand", shape, (like as Value).shape), (like as Value).shape)) {
      throw new RangeError(`Cannot expand ${showShape(shape)} to ${showShape((like as Value).shape)}`);
    }
    return [{ dtype, shape: (like as Value).shape }];
  },
  emit: (node, emitter) => {
    const shape = emitter.temporary();
    const [x, like] = node.inputs.map((v) => emitter.name(v)) as [string, string];
    emitter.node("Shape", [like], [shape]);
    emitter.node("Expand", [x, shape], [emitter.name(node.outputs[0] as Value)]);
  },
  vjp: (node, [gradient]) => [sumTo(gradient as Value, (node.inputs[0] as Value).shape), null],
};

/** Broadcasts a value to the shape of another. */
export function expandLike(x: Value, like: Value): Value {
  return sameShape(x.shape, like.shape) ? x : applyOne(expandLikeOp, [x, like], {});
}
