/** @file Splits an axis into parts. The gradient joins the gradients of the parts, with zeros for a part that has none. */
import type { Op, Value, Values } from "../../graph.ts";
import { type Dim, addDims, knownShape } from "../../shape.ts";
import { concat } from "../shapes/concat.ts";
import { orZeros } from "../shapes/reduce-expand.ts";

/** All sizes but the last must be known. */
type SplitAttributes = Readonly<{ axis: number; sizes: readonly Dim[] }>;

export const splitOp: Op<SplitAttributes, readonly [Value], Values> = {
  name: "split",
  infer: ([{ dtype, shape }], { axis, sizes }) => {
    if (sizes.reduce(addDims) !== shape[axis] || sizes.slice(0, -1).some((s) => typeof s !== "number")) {
      throw new RangeError(`Cannot split axis ${axis} of size ${shape[axis]} into ${sizes.join(", ")}`);
    }
    return sizes.map((size) => ({ dtype, shape: shape.map((dim, i) => (i === axis ? size : dim)) }));
  },
  emit: (node, emitter) => {
    const { axis, sizes } = node.attributes;
    const known = knownShape(sizes.slice(0, -1));
    const start = known.reduce((a, b) => a + b, 0);
    const [x] = emitter.names(node.inputs);
    const outputs = emitter.names(node.outputs);
    const size = sizes.at(-1);
    if (typeof size === "number") {
      emitter.node("Split", [x, emitter.int64([...known, size])], outputs, { axis });
      return;
    }
    const whole = emitter.value("Shape", [x], { start: axis, end: axis + 1 });
    const last = emitter.value("Sub", [whole, emitter.int64([start])]);
    const parts = emitter.value("Concat", [emitter.int64(known), last], { axis: 0 });
    emitter.node("Split", [x, parts], outputs, { axis });
  },
  vjp: ({ outputs, attributes: { axis } }, gradients) => {
    const parts = orZeros(outputs, gradients);
    return [concat(parts, axis)];
  },
};

/**
 * Splits an axis, counted from 0, into parts of the given sizes: [..., a + b, ...] gives [..., a, ...] and [..., b, ...].
 * @throws RangeError where the sizes do not add up to that of the axis, or one before the last is unknown
 */
export function split<const S extends readonly Dim[]>(
  x: Value,
  axis: number,
  sizes: S,
): { readonly [K in keyof S]: Value } {
  const parts: Values = sizes.length === 1 ? [x] : x.graph.apply(splitOp, [x], { axis, sizes });
  return parts as { readonly [K in keyof S]: Value };
}
