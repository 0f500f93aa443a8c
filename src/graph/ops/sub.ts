/** @file a - b, broadcast. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { binaryOp } from "./broadcast.ts";
import { neg } from "./neg.ts";

export const subOp = binaryOp("sub", "Sub", (_a, _b, gradient) => [() => gradient, () => neg(gradient)]);

/** Subtracts element-wise with broadcasting. */
export function sub(a: Value, b: Value): Value {
  return applyOne(subOp, [a, b], {});
}
