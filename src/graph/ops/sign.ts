/** @file Sign: -1, 0 or 1; its gradient is zero everywhere. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { mul } from "./mul.ts";

export const signOp = unaryOp(
  "sign",
  (node, emitter) => emitter.simple(node, "Sign"),
  (x, gradient) => mul(gradient, x.graph.scalar(0)),
);

/** Takes the sign element-wise. */
export function sign(x: Value): Value {
  return applyOne(signOp, [x], {});
}
