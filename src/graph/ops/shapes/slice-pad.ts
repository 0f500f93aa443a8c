/** @file Takes a range of one axis, and the reverse: pads a value with zeros along one axis. Each is the other's gradient. */
import { TO_THE_END } from "../../emitter.ts";
import { applyOne, type Op, type Value } from "../../graph.ts";
import { type Dim, addDims, dimAt, mulDims, showShape } from "../../shape.ts";

/** `end`: null means to the end, a negative one counts from the end. `size` is the size of the result. */
type SliceAttributes = Readonly<{ axis: number; start: number; end: number | null; size: Dim }>;
type PadAttributes = Readonly<{ axis: number; start: number }>;

export const sliceOp: Op<SliceAttributes, readonly [Value]> = {
  name: "slice",
  infer: ([{ dtype, shape }], { axis, start, end, size }) => {
    const from = shape[axis];
    const to = placeOf(end, from);
    if (
      from === undefined ||
      start < 0 ||
      (typeof to === "number" && (to < start || to - start !== size)) ||
      (typeof from === "number" && typeof to === "number" && to > from)
    ) {
      throw new RangeError(`Cannot slice axis ${axis} of size ${from} from ${start} to ${end}, size ${size}`);
    }
    return [{ dtype, shape: shape.map((dim, i) => (i === axis ? size : dim)) }];
  },
  emit: (node, emitter) => {
    const { axis, start, end } = node.attributes;
    const range = [emitter.int64([start]), emitter.int64([end ?? TO_THE_END]), emitter.int64([axis])];
    emitter.node("Slice", [...emitter.names(node.inputs), ...range], emitter.names(node.outputs));
  },
  vjp: ({ inputs: [x], attributes: { axis, start } }, [gradient]) => [padLike(gradient, x, axis, start)],
};

export const padLikeOp: Op<PadAttributes, readonly [Value, Value]> = {
  name: "padLike",
  infer: ([{ dtype, shape: piece }, { shape }], { axis, start }) => {
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
    const [x, like] = emitter.names(node.inputs);
    const before = emitter.int64([start]);
    const sizeOf = (name: string): string => emitter.value("Shape", [name], { start: axis, end: axis + 1 });
    const behind = emitter.value("Sub", [sizeOf(like), emitter.value("Add", [sizeOf(x), before])]);
    const pads = emitter.value("Concat", [before, behind], { axis: 0 });
    emitter.node("Pad", [x, pads, emitter.scalar(0), emitter.int64([axis])], emitter.names(node.outputs));
  },
  vjp: ({ inputs: [x, like], attributes: { axis, start } }, [gradient]) => {
    const size = dimAt(x.shape, axis);
    if (typeof size === "number") return [takeEntries(gradient, axis, start, size), null];
    const behind = addDims(dimAt(like.shape, axis), mulDims(-1, addDims(size, start)));
    if (typeof behind !== "number") {
      throw new RangeError(
        `Cannot differentiate padLike along axis ${axis}: size ${size} is unknown, and how many entries follow`,
      );
    }
    return [slice(gradient, axis, start, behind === 0 ? null : -behind), null];
  },
};

function placeOf<D extends Dim | undefined>(end: number | null, from: D): Dim | D {
  if (end === null || from === undefined) return from;
  return end < 0 ? addDims(from, end) : end;
}

/**
 * Takes entries `start` up to but not including `end` (null: all the rest; negative: counted from the end) of an axis: [..., n,
 * ...] gives [..., end - start, ...]. @throws RangeError for an axis or entries that the value does not have
 */
export function slice(x: Value, axis: number, start: number, end: number | null): Value {
  const size = addDims(placeOf(end, dimAt(x.shape, axis)), -start);
  return applyOne(sliceOp, [x], { axis, start, end, size });
}

/** Takes `size` entries of an axis from `start` on. A symbolic size must be that of all the rest, which is then taken. */
export function takeEntries(x: Value, axis: number, start: number, size: Dim): Value {
  const end = typeof size === "number" ? start + size : null;
  return applyOne(sliceOp, [x], { axis, start, end, size });
}

/** Puts `x` at entry `start` of an axis into zeros of the shape of `like`. */
export function padLike(x: Value, like: Value, axis: number, start: number): Value {
  return applyOne(padLikeOp, [x, like], { axis, start });
}
