/** @file References and cases of the operations on single elements. */
import { map } from "./array64.ts";
import {
  type Draw,
  type OpCase,
  type OpSuite,
  awayFromZero,
  float,
  given,
  normal,
  opCase,
  uniform,
} from "./op-suite.ts";

function unarySuite(op: string, f: (x: number) => number, draw: Draw, extra: readonly OpCase[]): OpSuite {
  return {
    op,
    reference: ([x]) => [map(x!, f)],
    differentiable: () => true,
    cases: [
      opCase("matrix", [float([4, 7], draw)]),
      opCase("scalar", [float([], draw)]),
      opCase("sizes of 1", [float([1, 1, 1], draw)]),
      opCase("symbolic sizes", [float(["B", "T", 3], draw)], { bindings: { B: 2, T: 5 } }),
      opCase("no elements", [float(["B", 3], draw)], { bindings: { B: 0 } }),
      ...extra,
    ],
    rejected: [],
    realistic: opCase("[1024, 1536]", [float([1024, 1536], draw)]),
  };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export const negSuite = unarySuite("neg", (x) => -x, normal(), []);
export const expSuite = unarySuite("exp", Math.exp, normal(), [
  opCase("from tiny to large", [float([5], given(-80, -10, 0, 10, 80))], { tolerance: 5e-6, smooth: false }),
]);
export const logSuite = unarySuite("log", Math.log, uniform(0.2, 5), [
  opCase("from tiny to large", [float([4], given(1e-30, 1e-3, 1, 1e30))], { smooth: false }),
]);
export const sqrtSuite = unarySuite("sqrt", Math.sqrt, uniform(0.2, 5), [
  opCase("zero and extremes", [float([4], given(0, 1e-30, 1, 1e30))], { smooth: false }),
]);
export const signSuite = unarySuite("sign", Math.sign, awayFromZero(0.01, 3), [
  opCase("at zero", [float([3], given(-2, 0, 2))], { smooth: false }),
]);
export const cosSuite = unarySuite("cos", Math.cos, normal(2), []);
export const sinSuite = unarySuite("sin", Math.sin, normal(2), []);
export const sigmoidSuite = unarySuite("sigmoid", sigmoid, normal(2), [
  opCase("saturated", [float([6], given(-90, -20, -5, 5, 20, 90))]),
]);
export const siluSuite = unarySuite("silu", (x) => x * sigmoid(x), normal(2), [
  opCase("saturated", [float([6], given(-90, -20, -5, 5, 20, 90))]),
]);
export const softplusSuite = unarySuite(
  "softplus",
  (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  normal(2),
  [opCase("saturated", [float([6], given(-90, -20, -5, 5, 20, 90))])],
);
export const tanhSuite = unarySuite("tanh", Math.tanh, normal(), [
  opCase("saturated", [float([6], given(-90, -20, -5, 5, 20, 90))]),
]);
