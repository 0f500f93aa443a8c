/** @file Hyperbolic tangent. Derivative: 1 - y². */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { mul } from "./mul.ts";
import { sub } from "./sub.ts";

export const tanhOp = unaryOp(
  "tanh",
  (node, emitter) => emitter.simple(node, "Tanh"),
  (x, gradient, y) => mul(gradient, sub(x.graph.scalar(1), mul(y, y))),
);

/** Takes the hyperbolic tangent element-wise. */
export function tanh(x: Value): Value {
  return applyOne(tanhOp, [x], {});
}
