/** @file A range of one axis. Its gradient is the same range of zeros elsewhere. */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Dim, addDims } from "../shape.ts";
import { padLike } from "./pad-like.ts";

/** `end` null means: to the end. `size` is the size of the result. */
type SliceAttributes = Readonly<{ axis: number; start: number; end: number | null; size: Dim }>;
const TO_THE_END = Number.MAX_SAFE_INTEGER;

export const sliceOp: Op<SliceAttributes> = {
  name: "slice",
  infer: ([x], { axis, start, end, size }) => {
    const { dtype, shape } = x as Value;
    const from = shape[axis];
    const to = end ?? from;
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
    emitter.node(
      "Slice",
      [
        emitter.name(node.inputs[0] as Value),
        emitter.int64([start]),
        emitter.int64([end ?? TO_THE_END]),
        emitter.int64([axis]),
      ],
      [emitter.name(node.outputs[0] as Value)],
    );
  },
  vjp: (node, [gradient]) => {
    const { axis, start } = node.attributes;
    return [padLike(gradient as Value, node.inputs[0] as Value, axis, start)];
  },
};

/** Takes entries `start` up to but not including `end` (null: all the rest) of an axis; `size` names what that makes. */
export function slice(x: Value, axis: number, start: number, end: number | null, size?: Dim): Value {
  const made = size ?? addDims(end ?? x.shape[axis] ?? 0, -start);
  return applyOne(sliceOp, [x], { axis, start, end, size: made });
}
