/** @file Logistic function 1 / (1 + e^-x). */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { mul } from "./mul.ts";
import { sub } from "./sub.ts";

export const sigmoidOp = unaryOp(
  "sigmoid",
  (node, emitter) => emitter.simple(node, "Sigmoid"),
  (x, gradient, y) => mul(gradient, mul(y, sub(x.graph.scalar(1), y))),
);

/** Takes the logistic function element-wise. */
export function sigmoid(x: Value): Value {
  return applyOne(sigmoidOp, [x], {});
}
