/** @file Gradients of functions of several operations. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluate } from "../../test/reference/evaluator.ts";
import type { Array64 } from "../../test/ops/array64.ts";
import { gradients } from "./autodiff.ts";
import { applyOne, Graph, type Op, type Value } from "./graph.ts";
import { add, exp, mul, sub } from "./ops/pointwise/elementwise.ts";
import { padLike } from "./ops/shapes/slice-pad.ts";
import { reduceSum } from "./ops/shapes/reduce-expand.ts";
import { rmsNorm } from "./ops/norms/rms-norm.ts";

const vector = (...values: number[]): Array64 => ({
  shape: [values.length],
  data: Float64Array.from(values),
});

function valueOf(output: Value, inputs: Record<string, Value>, feeds: Record<string, Array64>): number[] {
  const result = evaluate({ name: "test", inputs, outputs: { output } }, feeds, { N: 2 });
  return [...result["output"]!.data];
}

test("a value used twice gets both gradients", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const seed = graph.input("seed", "float32", [2]);
  const shared = exp(x);
  const y = add(mul(shared, shared), shared); // e^2x + e^x
  const [dx] = gradients([{ value: y, gradient: seed }], [x]);
  const [first, second] = valueOf(dx!, { x, seed }, { x: vector(0, 1), seed: vector(1, 2) });
  assert.equal(first, 3);
  assert.ok(Math.abs(second! - 2 * (2 * Math.exp(2) + Math.E)) < 1e-12);
});

test("the same value on both sides of an operation gets both gradients", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const seed = graph.input("seed", "float32", [2]);
  const feeds = { x: vector(3, -4), seed: vector(1, 10) };
  const [square] = gradients([{ value: mul(x, x), gradient: seed }], [x]);
  assert.deepEqual(valueOf(square!, { x, seed }, feeds), [6, -80]);
  const [nothing] = gradients([{ value: sub(x, x), gradient: seed }], [x]);
  assert.deepEqual(valueOf(nothing!, { x, seed }, feeds), [0, 0]);
});

test("several seeds add up", () => {
  const graph = new Graph();
  const [x, s, t] = ["x", "s", "t"].map((name) => graph.input(name, "float32", [2])) as [Value, Value, Value];
  const y = mul(x, graph.scalar(3));
  const z = mul(y, x);
  const [dx, dy] = gradients(
    [
      { value: y, gradient: s },
      { value: z, gradient: t },
    ],
    [x, y],
  );
  const feeds = { x: vector(2, 5), s: vector(1, 1), t: vector(1, 0) };
  assert.deepEqual(valueOf(dx!, { x, s, t }, feeds), [3 + 12, 3]); // 3 s + 6 x t
  assert.deepEqual(valueOf(dy!, { x, s, t }, feeds), [1 + 2, 1]); // s + x t
});

test("a value without influence has the gradient null", () => {
  const graph = new Graph();
  const [x, other, seed] = ["x", "other", "seed"].map((name) => graph.input(name, "float32", [2])) as [
    Value,
    Value,
    Value,
  ];
  const y = exp(x);
  assert.deepEqual(
    gradients([{ value: y, gradient: seed }], [other, exp(other), x]).map((g) => g === null),
    [true, true, false],
  );
});

test("the gradient of a seeded value itself is the seed", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const seed = graph.input("seed", "float32", [2]);
  assert.deepEqual(gradients([{ value: x, gradient: seed }], [x]), [seed]);
});

test("an inner value can be asked for, and nothing behind it is differentiated", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const seed = graph.input("seed", "float32", [2]);
  const inner = applyOne(opaqueOp, [x], {});
  const [d] = gradients([{ value: mul(inner, inner), gradient: seed }], [inner]);
  assert.deepEqual(valueOf(d!, { inner, seed }, { inner: vector(3, 4), seed: vector(1, 1) }), [6, 8]);
});

const opaqueOp: Op<Record<string, never>> = {
  name: "opaque",
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  emit: (node, emitter) => emitter.simple(node, "Round"),
  vjp: "not-differentiable",
};

test("an operation without a gradient on the way is an error, beside the way it is not", () => {
  const graph = new Graph();
  const [x, mask, seed] = ["x", "mask", "seed"].map((name) => graph.input(name, "float32", [2])) as [
    Value,
    Value,
    Value,
  ];
  const y = mul(x, applyOne(opaqueOp, [mask], {}));
  assert.ok(gradients([{ value: y, gradient: seed }], [x])[0]);
  assert.throws(() => gradients([{ value: y, gradient: seed }], [mask]), {
    name: "TypeError",
    message: "Cannot differentiate opaque: it has no gradient",
  });
});

test("a gradient of another shape than its value is an error", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N", 3]);
  const seed = graph.input("seed", "float32", ["N", 3]);
  assert.throws(
    () => gradients([{ value: reduceSum(x, [1]), gradient: seed }], [x]),
    /^RangeError: Cannot add gradient \[N, 3\] to \[N, 1\] made by reduceSum$/,
  );
});

test("a gradient into the second output of rmsNorm is refused", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N", 3]);
  const seed = graph.input("seed", "float32", ["N", 1]);
  const [, r] = rmsNorm(x, graph.input("w", "float32", [3]), 1e-5);
  assert.throws(
    () => gradients([{ value: r, gradient: seed }], [x]),
    /^TypeError: Cannot differentiate rmsNorm: /,
  );
});

test("the gradient of a symbolic piece with entries behind it is refused", () => {
  const graph = new Graph();
  const piece = graph.input("piece", "float32", ["N"]);
  const whole = graph.input("whole", "float32", ["M"]);
  const seed = graph.input("seed", "float32", ["M"]);
  const y = padLike(piece, whole, 0, 1);
  assert.throws(
    () => gradients([{ value: y, gradient: seed }], [piece]),
    /^RangeError: Cannot differentiate padLike along axis 0: size N is unknown/,
  );
});

test("gradients for one value do not build those of another", () => {
  const graph = new Graph();
  const [x, w, seed] = ["x", "w", "seed"].map((name) => graph.input(name, "float32", [2])) as [
    Value,
    Value,
    Value,
  ];
  const y = mul(exp(x), w);
  const [dw] = gradients([{ value: y, gradient: seed }], [w]);
  assert.equal(dw, mul(seed, exp(x)));
});
