/**
 * @file The lengths that attention over a cache needs, from a mask of tokens with ones up to the end of each text.
 *
 *   mask int64 [B, S]      lastKey int32 [B]  index of the last key of each text      numKeys int32 [1]  S
 */
import type { NoAttributes, Op, Value } from "../../graph.ts";
import { DTYPES } from "../../dtype.ts";
import { dimsOf } from "../../shape.ts";

const INT32 = { to: DTYPES.int32.onnx };

export const maskLengthsOp: Op<
  NoAttributes,
  readonly [mask: Value],
  readonly [lastKey: Value, numKeys: Value]
> = {
  name: "maskLengths",
  infer: ([{ dtype, shape }]) => {
    const [B] = dimsOf(shape, 2);
    if (dtype !== "int64") throw new RangeError(`Cannot count a mask of ${dtype}: expected int64`);
    return [
      { dtype: "int32", shape: [B] },
      { dtype: "int32", shape: [1] },
    ];
  },
  emit: ({ inputs, outputs }, emitter) => {
    const [mask] = emitter.names(inputs);
    const [lastKey, numKeys] = emitter.names(outputs);
    const counts = emitter.value("ReduceSum", [mask, emitter.int64([1])], { keepdims: 0 });
    emitter.node("Cast", [emitter.value("Sub", [counts, emitter.int64([1])])], [lastKey], INT32);
    emitter.node("Cast", [emitter.value("Shape", [mask], { start: 1 })], [numKeys], INT32);
  },
  vjp: "not-differentiable",
};

/** Returns the index of the last key of each text, and the number of keys. */
export function maskLengths(mask: Value): readonly [lastKey: Value, numKeys: Value] {
  return mask.graph.apply(maskLengthsOp, [mask], {});
}
