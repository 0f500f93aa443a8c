/** @file a ∘ b, broadcast. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { binaryOp } from "./broadcast.ts";

export const mulOp = binaryOp("mul", "Mul", (a, b, gradient) => [
  () => mul(gradient, b),
  () => mul(gradient, a),
]);

/** Multiplies element-wise with broadcasting. */
export function mul(a: Value, b: Value): Value {
  return applyOne(mulOp, [a, b], {});
}
