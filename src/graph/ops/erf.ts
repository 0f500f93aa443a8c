/** @file The error function, 2/√π ∫₀ˣ e^(-t²) dt. Derivative: 2/√π e^(-x²). */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { exp } from "./exp.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";

export const erfOp = unaryOp(
  "erf",
  (node, emitter) => emitter.simple(node, "Erf"),
  (x, gradient) => mul(gradient, mul(exp(neg(mul(x, x))), x.graph.scalar(2 / Math.sqrt(Math.PI)))),
);

/** Takes the error function element-wise. */
export function erf(x: Value): Value {
  return applyOne(erfOp, [x], {});
}
