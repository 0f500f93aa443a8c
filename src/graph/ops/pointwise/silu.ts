/**
 * @file SiLU, x times its logistic function: one pass of ONNX Runtime's QuickGelu with alpha 1.
 *
 * Derivative with s = sigmoid(x), y = x s:  s + y - y s, three passes once s and y are there.
 */
import { unary } from "../../graph.ts";
import { unaryOp } from "../shapes/broadcast.ts";
import { add, mul, sigmoid, sub } from "./elementwise.ts";

export const siluOp = unaryOp(
  "silu",
  (emitter, x, y) => emitter.node("com.microsoft.QuickGelu", [x], [y], { alpha: { float: 1 } }),
  (x, gradient, y) => {
    const s = sigmoid(x);
    return mul(gradient, sub(add(s, y), mul(y, s)));
  },
);

/** Takes SiLU element-wise. */
export const silu = unary(siluOp);
