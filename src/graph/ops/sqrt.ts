/** @file Square root. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { div } from "./div.ts";
import { mul } from "./mul.ts";

export const sqrtOp = unaryOp(
  "sqrt",
  (node, emitter) => emitter.simple(node, "Sqrt"),
  (x, gradient, output) => div(mul(gradient, x.graph.scalar(0.5)), output),
);

/** Takes the square root element-wise. */
export function sqrt(x: Value): Value {
  return applyOne(sqrtOp, [x], {});
}
