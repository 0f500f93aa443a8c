/** @file Natural logarithm. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { div } from "./div.ts";

export const logOp = unaryOp(
  "log",
  (node, emitter) => emitter.simple(node, "Log"),
  (x, gradient) => div(gradient, x),
);

/** Takes the natural logarithm element-wise. */
export function log(x: Value): Value {
  return applyOne(logOp, [x], {});
}
