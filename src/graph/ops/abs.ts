/** @file Magnitude |x|; its gradient at 0 is 0. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { mul } from "./mul.ts";
import { sign } from "./sign.ts";

export const absOp = unaryOp(
  "abs",
  (node, emitter) => emitter.simple(node, "Abs"),
  (x, gradient) => mul(gradient, sign(x)),
);

/** Takes the magnitude element-wise. */
export function abs(x: Value): Value {
  return applyOne(absOp, [x], {});
}
