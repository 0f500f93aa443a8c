/** @file Values, and that equal ones are made once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "./graph.ts";
import { add, exp } from "./ops/pointwise/elementwise.ts";
import { matmul } from "./ops/products/matmul.ts";
import { rmsNorm } from "./ops/norms/rms-norm.ts";

test("apply() makes the same operation on the same values once", () => {
  const graph = new Graph();
  const a = graph.input("a", "float32", ["B", 3]);
  const b = graph.input("b", "float32", ["B", 3]);
  assert.equal(add(a, b), add(a, b));
  assert.equal(exp(add(a, b)), exp(add(a, b)));
  assert.deepEqual(rmsNorm(a, graph.input("w", "float32", [3]), 1e-5).length, 2);
});

test("apply() keeps operations apart that differ in operation, order or settings", () => {
  const graph = new Graph();
  const a = graph.input("a", "float32", [3, 3]);
  const b = graph.input("b", "float32", [3, 3]);
  const made = [
    add(a, b),
    add(b, a),
    matmul(a, b),
    matmul(a, b, { transA: true }),
    matmul(a, b, { transB: true }),
    matmul(a, b, { alpha: 0.5 }),
  ];
  assert.equal(new Set(made).size, made.length);
});

test("input() makes a new value at each call, even under the same name", () => {
  const graph = new Graph();
  assert.notEqual(graph.input("a", "float32", [2]), graph.input("a", "float32", [2]));
});

test("constant() makes equal constants once and others apart", () => {
  const graph = new Graph();
  const two = graph.scalar(2);
  assert.equal(graph.scalar(2), two);
  assert.equal(graph.constant("float32", [], Float32Array.of(2)), two);
  assert.deepEqual(graph.constantData.get(two), Float32Array.of(2));
  const others = [
    graph.scalar(3),
    graph.constant("float32", [1], Float32Array.of(2)),
    graph.constant("int32", [], Int32Array.of(2)),
    graph.constant("float32", [2], Float32Array.of(2, 2)),
    graph.scalar(0),
    graph.scalar(-0),
  ];
  assert.equal(new Set([two, ...others]).size, 7);
});

test("a value's inputs have smaller ids, and an input knows its name", () => {
  const graph = new Graph();
  const a = graph.input("a", "float32", [2]);
  const y = exp(a);
  assert.ok(y.id > a.id);
  assert.equal(a.name, "a");
  assert.equal(a.node, null);
  assert.deepEqual([y.name, y.node?.op.name], [null, "exp"]);
});

test("apply() refuses a value of another graph", () => {
  const one = new Graph();
  const other = new Graph();
  const a = one.input("a", "float32", [2]);
  other.input("unused", "float32", [2]);
  const b = other.input("b", "float32", [2]);
  assert.throws(
    () => one.apply(add(a, a).node!.op, [a, b], {}),
    /^TypeError: Cannot apply add: a value of another graph$/,
  );
});

test("apply() refuses a value of another graph whose id is that of a value here", () => {
  const one = new Graph();
  const a = one.input("a", "float32", [2]);
  const foreign = new Graph().input("b", "float32", [2]);
  const made = exp(a);
  assert.throws(
    () => one.apply(made.node!.op, [foreign], {}),
    /^TypeError: Cannot apply exp: a value of another graph$/,
  );
});
