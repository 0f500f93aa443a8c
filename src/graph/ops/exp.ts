/** @file e to the power of x. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { mul } from "./mul.ts";

export const expOp = unaryOp(
  "exp",
  (node, emitter) => emitter.simple(node, "Exp"),
  (_x, gradient, output) => mul(gradient, output),
);

/** Takes the exponential element-wise. */
export function exp(x: Value): Value {
  return applyOne(expOp, [x], {});
}
