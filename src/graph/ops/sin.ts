/** @file sin x. */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { cos } from "./cos.ts";
import { mul } from "./mul.ts";

export const sinOp = unaryOp(
  "sin",
  (node, emitter) => emitter.simple(node, "Sin"),
  (x, gradient) => mul(gradient, cos(x)),
);

/** Takes the sine element-wise. */
export function sin(x: Value): Value {
  return applyOne(sinOp, [x], {});
}
