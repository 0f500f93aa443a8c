/** @file Concatenates values along an axis; to differentiate, all sizes but the last must be known on that axis. */
import { applyOne, type Op, type Value, type Values } from "../../graph.ts";
import { addDims, dimAt, showShape } from "../../shape.ts";
import { takeEntries } from "./slice-pad.ts";

type ConcatAttributes = Readonly<{ axis: number }>;

export const concatOp: Op<ConcatAttributes, Values> = {
  name: "concat",
  infer: (inputs, { axis }) => {
    const [first] = inputs;
    if (!first) throw new RangeError("Cannot join no values");
    for (const { dtype, shape } of inputs) {
      if (
        dtype !== first.dtype ||
        shape.length !== first.shape.length ||
        !(axis in shape) ||
        shape.some((dim, i) => i !== axis && dim !== first.shape[i])
      ) {
        throw new RangeError(
          `Cannot join ${showShape(first.shape)} and ${showShape(shape)} along axis ${axis}`,
        );
      }
    }
    const size = inputs.map((v) => dimAt(v.shape, axis)).reduce(addDims);
    return [{ dtype: first.dtype, shape: first.shape.map((dim, i) => (i === axis ? size : dim)) }];
  },
  emit: (node, emitter) => emitter.simple(node, "Concat", { axis: node.attributes.axis }),
  vjp: ({ inputs, attributes: { axis } }, [gradient]) => {
    let start = 0;
    return inputs.map((input, i) => {
      const size = dimAt(input.shape, axis);
      const last = i === inputs.length - 1;
      if (typeof size !== "number" && !last) {
        throw new RangeError(`Cannot differentiate a join along axis ${axis}: size ${size} is unknown`);
      }
      const part = takeEntries(gradient, axis, start, size);
      if (typeof size === "number") start += size;
      return part;
    });
  },
};

/**
 * Joins values along an axis, counted from 0: [..., a, ...] and [..., b, ...] give [..., a + b, ...].
 * @throws RangeError where types or the other sizes differ, and for no values
 */
export function concat(inputs: Values, axis: number): Value {
  const [first, ...others] = inputs;
  return first && others.length === 0 ? first : applyOne(concatOp, inputs, { axis });
}
