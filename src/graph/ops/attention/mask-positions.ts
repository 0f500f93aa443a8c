/**
 * @file Positions of tokens in padded rows, from a mask with ones at the tokens: int64 [B, T] gives int64 [B, T]. They count from
 * 0 in each text, whether the padding is before or after it.
 */
import { type NoAttributes, type Op, type Value, applyOne } from "../../graph.ts";
import { dimsOf } from "../../shape.ts";

export const maskPositionsOp: Op<NoAttributes, readonly [mask: Value]> = {
  name: "maskPositions",
  infer: ([{ dtype, shape }]) => {
    if (dtype !== "int64") throw new RangeError(`Cannot count a mask of ${dtype}: expected int64`);
    return [{ dtype, shape: dimsOf(shape, 2) }];
  },
  emit: ({ inputs, outputs }, emitter) => {
    const [mask] = emitter.names(inputs);
    const counts = emitter.value("CumSum", [mask, emitter.int64([1])]);
    const places = emitter.value("Sub", [counts, emitter.int64([1])]);
    // Padding before a text gets a valid position.
    emitter.node("Max", [places, emitter.int64([0])], emitter.names(outputs));
  },
  vjp: "not-differentiable",
};

/** Returns the position of each token in its text; 0 for padding before it. */
export function maskPositions(mask: Value): Value {
  return applyOne(maskPositionsOp, [mask], {});
}
