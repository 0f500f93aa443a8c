/** @file Gives the same elements another shape, stated or that of another value; free in ONNX Runtime. */
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";
import { type Shape, mulDims, sameShape, showShape } from "../../shape.ts";

type ReshapeAttributes = Readonly<Record<"shape", Shape>>;

/** For each axis its size; 0: as the same axis of the input; -1: ONNX Runtime has to infer it. */
function targetOf(from: Shape, to: Shape): number[] {
  return to.map((dim, i) => (typeof dim === "number" ? dim : dim === from[i] ? 0 : -1));
}

/** Whether ONNX Runtime can infer all sizes, which is at most one. */
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
 * Gives a value another shape with as many elements, in the same order: [B, T, D] as [B × T, D].
 * @throws RangeError for a shape with another number of elements
 */
export function reshape(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : applyOne(reshapeOp, [x], { shape });
}

/** Gives a value the shape of another one, even if several of its sizes are unknown. */
export function reshapeLike(x: Value, like: Value): Value {
  return sameShape(x.shape, like.shape) ? x : applyOne(reshapeLikeOp, [x, like], {});
}
