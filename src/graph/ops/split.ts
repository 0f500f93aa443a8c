/** @file Parts of an axis, one after another. Its gradient joins the parts' gradients; a part without one counts as zeros. */
import type { Value } from "../graph.ts";
import type { Op } from "../op.ts";
import { type Dim, addDims } from "../shape.ts";
import { concat } from "./concat.ts";
import { mul } from "./mul.ts";

/** All sizes but the last must be known. */
type SplitAttributes = Readonly<{ axis: number; sizes: readonly Dim[] }>;

export const splitOp: Op<SplitAttributes> = {
  name: "split",
  infer: ([x], { axis, sizes }) => {
    const { dtype, shape } = x as Value;
    if (sizes.reduce(addDims) !== shape[axis] || sizes.slice(0, -1).some((s) => typeof s !== "number")) {
      throw new RangeError(`Cannot split axis ${axis} of size ${shape[axis]} into ${sizes.join(", ")}`);
    }
    return sizes.map((size) => ({ dtype, shape: shape.map((dim, i) => (i === axis ? size : dim)) }));
  },
  emit: (node, emitter) => {
    const { axis, sizes } = node.attributes;
    const known = sizes.slice(0, -1) as readonly number[];
    const start = known.reduce((a, b) => a + b, 0);
    const [x, whole, last, parts] = [
      emitter.name(node.inputs[0] as Value),
      emitter.temporary(),
      emitter.temporary(),
      emitter.temporary(),
    ];
    const outputs = node.outputs.map((v) => emitter.name(v));
    if (typeof sizes.at(-1) === "number") {
      emitter.node("Split", [x, emitter.int64(sizes as readonly number[])], outputs, { axis });
      return;
    }
    emitter.node("Shape", [x], [whole], { start: axis, end: axis + 1 });
    emitter.node("Sub", [whole, emitter.int64([start])], [last]);
    emitter.node("Concat", [emitter.int64(known), last], [parts], { axis: 0 });
    emitter.node("Split", [x, parts], outputs, { axis });
  },
  vjp: (node, gradients) => {
    const parts = node.outputs.map((part, i) => gradients[i] ?? mul(part, part.graph.scalar(0)));
    return [concat(parts, node.attributes.axis)];
  },
};

/** Cuts an axis into parts of the given sizes. */
export function split(x: Value, axis: number, sizes: readonly Dim[]): readonly Value[] {
  return sizes.length === 1 ? [x] : x.graph.apply(splitOp, [x], { axis, sizes });
}
