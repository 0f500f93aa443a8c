/** @file Another shape for the same elements, given or that of another value; free in ONNX Runtime. */
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";
import { type Shape, mulDims, sameShape, showShape } from "../../shape.ts";

type ReshapeAttributes = Readonly<Record<"shape", Shape>>;

/** For each axis its size, 0 where it is that of the same axis before, -1 where it has to be worked out. */
function targetOf(from: Shape, to: Shape): number[] {
  return to.map((dim, i) => (typeof dim === "number" ? dim : dim === from[i] ? 0 : -1));
}

/** Whether a program can tell all sizes: one at most has to be worked out. */
function isKnown(from: Shape, to: Shape): boolean {
  return targetOf(from, to).filter((size) => size === -1).length <= 1;
}

function checkSizes(from: Shape, to: Shape): void {
  if (mulDims(...from) !== mulDims(...to)) {
    throw new RangeError(`Cannot reshape ${showShape(from)} to ${showShape(to)}: sizes differ`);
  }
}

export const reshapeOp: Op<ReshapeAttributes, readonly [Value]> = {
  name: "reshape",
  memory: "view",
  infer: ([{ dtype, shape: from }], { shape }) => {
    checkSizes(from, shape);
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const [x] = emitter.names(node.inputs);
    const { shape: from } = node.inputs[0];
    const { shape } = node.attributes;
    if (!isKnown(from, shape)) {
      throw new RangeError(
        `Cannot emit reshape of ${showShape(from)} to ${showShape(shape)}: two sizes are unknown`,
      );
    }
    emitter.node("Reshape", [x, emitter.int64(targetOf(from, shape))], emitter.names(node.outputs));
  },
  vjp: ({ inputs: [x] }, [gradient]) => [
    isKnown(gradient.shape, x.shape) ? reshape(gradient, x.shape) : reshapeLike(gradient, x),
  ],
};

export const reshapeLikeOp: Op<NoAttributes, readonly [x: Value, like: Value]> = {
  name: "reshapeLike",
  memory: "view",
  infer: ([{ dtype, shape: from }, { shape }]) => {
    checkSizes(from, shape);
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const [x, like] = emitter.names(node.inputs);
    emitter.node("Reshape", [x, emitter.value("Shape", [like])], emitter.names(node.outputs));
  },
  vjp: ({ inputs: [x] }, [gradient]) => [reshapeLike(gradient, x), null],
};

/**
 * Gives a value another shape of as many elements, in their order: [B, T, D] as [B × T, D].
 * @throws RangeError for a shape of more or fewer
 */
export function reshape(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : applyOne(reshapeOp, [x], { shape });
}

/** Gives a value the shape of another, however many of its sizes are unknown. */
export function reshapeLike(x: Value, like: Value): Value {
  return sameShape(x.shape, like.shape) ? x : applyOne(reshapeLikeOp, [x, like], {});
}
