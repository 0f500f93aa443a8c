/** @file a / b, broadcast. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { binaryOp } from "./broadcast.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";

export const divOp = binaryOp("div", "Div", (_a, b, gradient, output) => [
  () => div(gradient, b),
  () => neg(div(mul(gradient, output), b)),
]);

/** Divides element-wise with broadcasting. */
export function div(a: Value, b: Value): Value {
  return applyOne(divOp, [a, b], {});
}
