/**
 * @file Numbers for the distances -T … T-1 of T tokens, out of those for -P … P-1: int64 [2P] and x [B, T, …] give int64 [2T]. Beyond
 * P the first and the last number go on.
 */
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";
import { dimAt, mulDims, showShape, sizeAt } from "../../shape.ts";

const TOKENS = 1;

export const distanceRowsOp: Op<NoAttributes, readonly [numbers: Value, x: Value]> = {
  name: "distanceRows",
  infer: ([{ dtype, shape }, x]) => {
    const [size] = shape;
    if (dtype !== "int64" || shape.length !== 1 || typeof size !== "number" || size < 2 || size % 2 !== 0) {
      throw new RangeError(
        `Cannot take distances out of ${dtype} ${showShape(shape)}, expected int64 and an even size`,
      );
    }
    return [{ dtype, shape: [mulDims(2, dimAt(x.shape, TOKENS))] }];
  },
  emit: ({ inputs, outputs }, emitter) => {
    const [numbers, x] = emitter.names(inputs);
    const size = sizeAt(inputs[0].shape, 0);
    const int64 = (value: number): string => emitter.constant("int64", [], BigInt64Array.of(BigInt(value)));
    const shape = emitter.value("Shape", [x], { start: TOKENS, end: TOKENS + 1 });
    const length = emitter.value("Squeeze", [shape, emitter.int64([0])]);
    const end = emitter.value("Add", [length, int64(size / 2)]);
    const start = emitter.value("Sub", [int64(size / 2), length]);
    const places = emitter.value("Range", [start, end, int64(1)]);
    const least = emitter.value("Max", [places, int64(0)]);
    const within = emitter.value("Min", [least, int64(size - 1)]);
    emitter.node("Gather", [numbers, within], emitter.names(outputs), { axis: 0 });
  },
  vjp: "not-differentiable",
};

/** Takes the numbers for the distances of the tokens of x. */
export function distanceRows(numbers: Value, x: Value): Value {
  return applyOne(distanceRowsOp, [numbers, x], {});
}
