/** @file a + b, broadcast. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { binaryOp } from "./broadcast.ts";

export const addOp = binaryOp("add", "Add", (_a, _b, gradient) => [() => gradient, () => gradient]);

/** Adds element-wise with broadcasting. */
export function add(a: Value, b: Value): Value {
  return applyOne(addOp, [a, b], {});
}
