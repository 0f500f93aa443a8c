/**
 * @file GELU, x times the share of the normal distribution below x; exact, or in the form with a hyperbolic tangent.
 *
 *   none   y = x Φ(x),  Φ(x) = (1 + erf(x/√2)) / 2                      dy/dx = Φ(x) + x e^(-x²/2) / √(2π)
 *   tanh   y = x s,  s = sigmoid(2u),  u = √(2/π) (x + 0.044715 x³)     dy/dx = s + y (1 - s) 2 du/dx
 *
 * Paper: "Gaussian Error Linear Units", arXiv:1606.08415, section 2; (1 + tanh u) / 2 is sigmoid(2u).
 */
import { applyOne, type Op, type Value } from "../../graph.ts";
import { add, erf, exp, mul, sigmoid, sub } from "./elementwise.ts";

/** The approximation of Φ; "none" is Φ itself. */
type GeluAttributes = Readonly<{ approximate: "none" | "tanh" }>;

const CUBE = 0.044715;
const DOUBLE_SLOPE = 2 * Math.sqrt(2 / Math.PI);

export const geluOp: Op<GeluAttributes, readonly [Value]> = {
  name: "gelu",
  infer: ([{ dtype, shape }]) => [{ dtype, shape }],
  emit: (node, emitter) => emitter.simple(node, "Gelu", { approximate: node.attributes.approximate }),
  vjp: ({ inputs: [x], outputs: [y], attributes }, [gradient]) => [
    mul(gradient, attributes.approximate === "none" ? exactSlope(x) : tanhSlope(x, y)),
  ],
};

function exactSlope(x: Value): Value {
  const scalar = (value: number): Value => x.graph.scalar(value);
  const below = mul(add(erf(mul(x, scalar(Math.SQRT1_2))), scalar(1)), scalar(0.5));
  const density = exp(mul(mul(x, x), scalar(-0.5)));
  return add(below, mul(mul(x, density), scalar(1 / Math.sqrt(2 * Math.PI))));
}

function tanhSlope(x: Value, y: Value): Value {
  const scalar = (value: number): Value => x.graph.scalar(value);
  const square = mul(x, x);
  const s = sigmoid(mul(x, add(mul(square, scalar(DOUBLE_SLOPE * CUBE)), scalar(DOUBLE_SLOPE))));
  const inner = add(mul(square, scalar(3 * DOUBLE_SLOPE * CUBE)), scalar(DOUBLE_SLOPE));
  return add(s, mul(mul(y, sub(scalar(1), s)), inner));
}

/** Takes GELU element-wise. */
export function gelu(x: Value, approximate: GeluAttributes["approximate"] = "none"): Value {
  return applyOne(geluOp, [x], { approximate });
}
