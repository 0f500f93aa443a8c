/** @file Zeros in the shape of another value with this value at a place along one axis: the reverse of a slice. */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Dim, addDims, showShape } from "../shape.ts";
import { slice } from "./slice.ts";

type PadAttributes = Readonly<{ axis: number; start: number }>;

export const padLikeOp: Op<PadAttributes> = {
  name: "padLike",
  infer: ([x, like], { axis, start }) => {
    const { dtype, shape: piece } = x as Value;
    const { shape } = like as Value;
    const [size, whole] = [piece[axis], shape[axis]];
    if (
      size === undefined ||
      start < 0 ||
      piece.length !== shape.length ||
      piece.some((dim, i) => i !== axis && dim !== shape[i]) ||
      (typeof size === "number" && typeof whole === "number" && start + size > whole)
    ) {
      throw new RangeError(
        `Cannot put ${showShape(piece)} into ${showShape(shape)} at entry ${start} of axis ${axis}: it does not fit`,
      );
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const { axis, start } = node.attributes;
    const [x, like] = node.inputs as [Value, Value];
    const [from, to, behind] = [emitter.temporary(), emitter.temporary(), emitter.temporary()];
    const [before, sum, pads] = [emitter.int64([start]), emitter.temporary(), emitter.temporary()];
    emitter.node("Shape", [emitter.name(like)], [to], { start: axis, end: axis + 1 });
    emitter.node("Shape", [emitter.name(x)], [from], { start: axis, end: axis + 1 });
    emitter.node("Add", [from, before], [sum]);
    emitter.node("Sub", [to, sum], [behind]);
    emitter.node("Concat", [before, behind], [pads], { axis: 0 });
    emitter.node(
      "Pad",
      [emitter.name(x), pads, emitter.scalar(0), emitter.int64([axis])],
      [emitter.name(node.outputs[0] as Value)],
    );
  },
  vjp: (node, [gradient]) => {
    const { axis, start } = node.attributes;
    const size = (node.inputs[0] as Value).shape[axis] as Dim;
    const end = typeof size === "number" ? start + size : null;
    if (end === null && addDims(size, start) !== (node.inputs[1] as Value).shape[axis]) {
      throw new RangeError(
        `Cannot differentiate padLike along axis ${axis}: size ${size} is unknown and entries follow`,
      );
    }
    return [slice(gradient as Value, axis, start, end, size), null];
  },
};

/** Puts `x` at entry `start` of an axis into zeros of the shape of `like`. */
export function padLike(x: Value, like: Value, axis: number, start: number): Value {
  return applyOne(padLikeOp, [x, like], { axis, start });
}
