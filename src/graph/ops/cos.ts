/** @file cos x. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";
import { sin } from "./sin.ts";

export const cosOp = unaryOp(
  "cos",
  (node, emitter) => emitter.simple(node, "Cos"),
  (x, gradient) => neg(mul(gradient, sin(x))),
);

/** Takes the cosine element-wise. */
export function cos(x: Value): Value {
  return applyOne(cosOp, [x], {});
}
