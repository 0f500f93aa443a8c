/** @file Another shape for the same elements; free in ONNX Runtime. */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Shape, mulDims, sameShape, showShape } from "../shape.ts";

type ReshapeAttributes = Readonly<Record<"shape", Shape>>;

export const reshapeOp: Op<ReshapeAttributes> = {
  name: "reshape",
  infer: ([x], { shape }) => {
    const { dtype, shape: from } = x as Value;
    if (mulDims(...from) !== mulDims(...shape)) {
      throw new RangeError(`Cannot reshape ${showShape(from)} to ${showShape(shape)}: sizes differ`);
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const from = (node.inputs[0] as Value).shape;
    // 0 copies the size at the same place, -1 is worked out: enough for at most one other symbolic size.
    const target = node.attributes.shape.map((dim, i) =>
      typeof dim === "number" ? dim : dim === from[i] ? 0 : -1,
    );
    if (target.filter((t) => t === -1).length > 1) {
      throw new RangeError(
        `Cannot emit reshape of ${showShape(from)} to ${showShape(node.attributes.shape)}: two sizes are unknown`,
      );
    }
    emitter.node(
      "Reshape",
      [emitter.name(node.inputs[0] as Value), emitter.int64(target)],
      [emitter.name(node.outputs[0] as Value)],
    );
  },
  vjp: (node, [gradient]) => [reshape(gradient as Value, (node.inputs[0] as Value).shape)],
};

/** Gives a value another shape of as many elements. */
export function reshape(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : applyOne(reshapeOp, [x], { shape });
}
