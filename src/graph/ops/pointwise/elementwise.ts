/** @file Element-wise arithmetic, broadcast, and functions of one number, each with its derivative: all rules at once. */
import type { Emitter } from "../../emitter.ts";
import { type AnyOp, binary, unary } from "../../graph.ts";
import {
  type BinaryPartials,
  type UnaryEmission,
  type UnaryPartial,
  binaryOp,
  unaryOp,
} from "../shapes/broadcast.ts";
import { zerosLike } from "../shapes/reduce-expand.ts";

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
  softplus: ["Softplus", (x, dy) => mul(dy, sigmoid(x))],
  erf: ["Erf", (x, dy) => mul(dy, mul(exp(neg(mul(x, x))), x.graph.scalar(2 / Math.sqrt(Math.PI))))],
  abs: ["Abs", (x, dy) => mul(dy, sign(x))],
  sign: [emitSign, zerosLike],
} satisfies Record<string, readonly [UnaryEmission, UnaryPartial]>;

/** Unary operations that ONNX Runtime computes in place when their input is not read afterwards; all others need memory for both. */
const OVERWRITING: readonly string[] = ["tanh", "sigmoid"];

/** About the smallest normal number, so that practically only 0 and subnormal numbers are divided by it instead of by |x|. */
const SMALLEST = 1.18e-38;

/** x / |x| takes three passes on all threads, which are faster than ONNX Runtime's Sign, one pass on one thread. */
function emitSign(emitter: Emitter, x: string, y: string): void {
  const divisor = emitter.value("Max", [emitter.value("Abs", [x]), emitter.scalar(SMALLEST)]);
  emitter.node("Div", [x, divisor], [y]);
}

const binaryOps = mapRules(BINARY, ([onnxName, partials], name) => binaryOp(name, onnxName, partials));
const unaryOps = mapRules(UNARY, ([emission, partial], name) => ({
  ...unaryOp(name, emission, partial),
  ...(OVERWRITING.includes(name) && { memory: "in-place" as const }),
}));

function mapRules<K extends string, R, Made>(
  rules: Readonly<Record<K, R>>,
  make: (rule: R, name: string) => Made,
): Readonly<Record<K, Made>> {
  const entries = Object.entries<R>(rules).map(([name, rule]) => [name, make(rule, name)]);
  return Object.fromEntries(entries) as Record<K, Made>;
}

/** All operations of this file, for the list of operations. */
export const ELEMENTWISE_OPS: readonly AnyOp[] = [...Object.values(binaryOps), ...Object.values(unaryOps)];

export const addOp = binaryOps.add;
export const mulOp = binaryOps.mul;

/** Adds with broadcasting. */
export const add = binary(addOp);
/** Subtracts with broadcasting. */
export const sub = binary(binaryOps.sub);
/** Multiplies element by element, with broadcasting. */
export const mul = binary(binaryOps.mul);
/** Divides with broadcasting. */
export const div = binary(binaryOps.div);
/** Negates. */
export const neg = unary(unaryOps.neg);
/** Takes e to the power of each element. */
export const exp = unary(unaryOps.exp);
/** Takes the natural logarithm. */
export const log = unary(unaryOps.log);
/** Takes the square root. */
export const sqrt = unary(unaryOps.sqrt);
/** Takes the cosine. */
export const cos = unary(unaryOps.cos);
/** Takes the sine. */
export const sin = unary(unaryOps.sin);
/** Takes the hyperbolic tangent. */
export const tanh = unary(unaryOps.tanh);
/** Takes the logistic function 1 / (1 + e^-x). */
export const sigmoid = unary(unaryOps.sigmoid);
/** Takes ln(1 + e^x). */
export const softplus = unary(unaryOps.softplus);
/** Takes the error function, 2/√π ∫₀ˣ e^(-t²) dt. */
export const erf = unary(unaryOps.erf);
/** Takes the magnitude; its gradient at 0 is 0. */
export const abs = unary(unaryOps.abs);
/** Takes the sign: -1, 0 or 1; its gradient is zero everywhere. */
export const sign = unary(unaryOps.sign);
