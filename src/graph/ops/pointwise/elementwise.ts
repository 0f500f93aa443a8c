/** @file Element-wise arithmetic, broadcast, and functions of one number, each with its derivative: all rules at once. */
import type { Emitter } from "../../emitter.ts";
import { type AnyOp, applyOne, type Value } from "../../graph.ts";
import {
  type BinaryPartials,
  type UnaryEmission,
  type UnaryPartial,
  binaryOp,
  unaryOp,
} from "../shapes/broadcast.ts";

/** ONNX operator, and the gradients of a and b from that of y (dy). */
const BINARY = {
  add: ["Add", (_a, _b, dy) => [() => dy, () => dy]],
  sub: ["Sub", (_a, _b, dy) => [() => dy, () => neg(dy)]],
  mul: ["Mul", (a, b, dy) => [() => mul(dy, b), () => mul(dy, a)]],
  div: ["Div", (_a, b, dy, y) => [() => div(dy, b), () => neg(div(mul(dy, y), b))]],
} satisfies Record<string, readonly [string, BinaryPartials]>;

/** ONNX operator, and the gradient of x from that of y (dy). */
const UNARY = {
  neg: ["Neg", (_x, dy) => neg(dy)],
  exp: ["Exp", (_x, dy, y) => mul(dy, y)],
  log: ["Log", (x, dy) => div(dy, x)],
  sqrt: ["Sqrt", (x, dy, y) => div(mul(dy, x.graph.scalar(0.5)), y)],
  cos: ["Cos", (x, dy) => neg(mul(dy, sin(x)))],
  sin: ["Sin", (x, dy) => mul(dy, cos(x))],
  tanh: ["Tanh", (x, dy, y) => mul(dy, sub(x.graph.scalar(1), mul(y, y)))],
  sigmoid: ["Sigmoid", (x, dy, y) => mul(dy, mul(y, sub(x.graph.scalar(1), y)))],
  erf: ["Erf", (x, dy) => mul(dy, mul(exp(neg(mul(x, x))), x.graph.scalar(2 / Math.sqrt(Math.PI))))],
  abs: ["Abs", (x, dy) => mul(dy, sign(x))],
  sign: [emitSign, (x, dy) => mul(dy, x.graph.scalar(0))],
} satisfies Record<string, readonly [UnaryEmission, UnaryPartial]>;

/** Below every normal number, so that 0 is divided by it and nothing else. */
const SMALLEST = 1.18e-38;

/** x / |x| takes three passes on all threads; ONNX Runtime's Sign is one that takes longer, on one thread. */
function emitSign(emitter: Emitter, x: string, y: string): void {
  const divisor = emitter.value("Max", [emitter.value("Abs", [x]), emitter.scalar(SMALLEST)]);
  emitter.node("Div", [x, divisor], [y]);
}

const binaryOps = mapRules(BINARY, ([onnxName, partials], name) => binaryOp(name, onnxName, partials));
const unaryOps = mapRules(UNARY, ([emission, partial], name) => unaryOp(name, emission, partial));

function mapRules<K extends string, R, Made>(
  rules: Readonly<Record<K, R>>,
  make: (rule: R, name: string) => Made,
): Readonly<Record<K, Made>> {
  const entries = Object.entries<R>(rules).map(([name, rule]) => [name, make(rule, name)]);
  return Object.fromEntries(entries) as Record<K, Made>;
}

/** All of them, for the list of operations. */
export const ELEMENTWISE_OPS: readonly AnyOp[] = [...Object.values(binaryOps), ...Object.values(unaryOps)];

export const addOp = binaryOps.add;
export const mulOp = binaryOps.mul;

/** Adds with broadcasting. */
export function add(a: Value, b: Value): Value {
  return applyOne(addOp, [a, b], {});
}

/** Subtracts with broadcasting. */
export function sub(a: Value, b: Value): Value {
  return applyOne(binaryOps.sub, [a, b], {});
}

/** Multiplies element by element, with broadcasting. */
export function mul(a: Value, b: Value): Value {
  return applyOne(binaryOps.mul, [a, b], {});
}

/** Divides with broadcasting. */
export function div(a: Value, b: Value): Value {
  return applyOne(binaryOps.div, [a, b], {});
}

/** Negates. */
export function neg(x: Value): Value {
  return applyOne(unaryOps.neg, [x], {});
}

/** Takes e to the power of each element. */
export function exp(x: Value): Value {
  return applyOne(unaryOps.exp, [x], {});
}

/** Takes the natural logarithm. */
export function log(x: Value): Value {
  return applyOne(unaryOps.log, [x], {});
}

/** Takes the square root. */
export function sqrt(x: Value): Value {
  return applyOne(unaryOps.sqrt, [x], {});
}

/** Takes the cosine. */
export function cos(x: Value): Value {
  return applyOne(unaryOps.cos, [x], {});
}

/** Takes the sine. */
export function sin(x: Value): Value {
  return applyOne(unaryOps.sin, [x], {});
}

/** Takes the hyperbolic tangent. */
export function tanh(x: Value): Value {
  return applyOne(unaryOps.tanh, [x], {});
}

/** Takes the logistic function 1 / (1 + e^-x). */
export function sigmoid(x: Value): Value {
  return applyOne(unaryOps.sigmoid, [x], {});
}

/** Takes the error function, 2/√π ∫₀ˣ e^(-t²) dt. */
export function erf(x: Value): Value {
  return applyOne(unaryOps.erf, [x], {});
}

/** Takes the magnitude; its gradient at 0 is 0. */
export function abs(x: Value): Value {
  return applyOne(unaryOps.abs, [x], {});
}

/** Takes the sign: -1, 0 or 1; its gradient is zero everywhere. */
export function sign(x: Value): Value {
  return applyOne(unaryOps.sign, [x], {});
}
