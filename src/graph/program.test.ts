/** @file Cuts through a graph. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluate } from "../../test/reference/evaluator.ts";
import type { Array64 } from "../../test/ops/array64.ts";
import { gradients } from "./autodiff.ts";
import { PLAIN_TARGET } from "./emitter.ts";
import { Graph, type Value } from "./graph.ts";
import { add, exp, mul, sigmoid } from "./ops/pointwise/elementwise.ts";
import { rmsNorm } from "./ops/norms/rms-norm.ts";
import { type ProgramSpec, emitProgram, neededInputs, nodesOf } from "./program.ts";

const vector = (...values: number[]): Array64 => ({
  shape: [values.length],
  data: Float64Array.from(values),
});

/** Checks that every name of a program's file is made once, before it is read, and that all outputs are made. */
function checkNames(spec: ProgramSpec): void {
  const { nodes, constants } = emitProgram(spec, PLAIN_TARGET);
  const made = [...Object.keys(spec.inputs), ...constants.map(({ name }) => name)];
  for (const { opType, inputs, outputs } of nodes) {
    for (const name of inputs) assert.ok(made.includes(name), `${opType} reads ${name} before it is made`);
    made.push(...outputs);
  }
  assert.equal(new Set(made).size, made.length, `a name of ${made.join(" ")} is made twice`);
  const produced = new Set(nodes.flatMap(({ outputs }) => outputs));
  for (const name of Object.keys(spec.outputs)) assert.ok(produced.has(name), `output ${name} is not made`);
}

function twoLayers() {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N"]);
  const w = graph.input("w", "float32", ["N"]);
  const hidden = sigmoid(mul(x, w));
  const y = exp(mul(hidden, hidden));
  const seed = graph.input("seed", "float32", ["N"]);
  const [dw] = gradients([{ value: y, gradient: seed }], [w]);
  assert.ok(dw);
  return { graph, x, w, hidden, y, seed, dw };
}

test("a backward program cut at saved values computes what one that recomputes does", () => {
  const { x, w, hidden, y, seed, dw } = twoLayers();
  const feeds = { x: vector(0.5, -1, 2), w: vector(1, 2, 3), seed: vector(1, -1, 0.5) };
  const outputs = { dw };
  const recompute: ProgramSpec = { name: "recompute", inputs: { x, w, seed }, outputs };
  const saved: ProgramSpec = { name: "saved", inputs: { x, hidden, y, seed }, outputs };
  const forward = evaluate({ name: "forward", inputs: { x, w }, outputs: { hidden, y } }, feeds);
  assert.deepEqual(evaluate(saved, { ...feeds, ...forward }), evaluate(recompute, feeds));
  checkNames(recompute);
  checkNames(saved);
  assert.ok(nodesOf(saved).length < nodesOf(recompute).length);
  const opsOf = (spec: ProgramSpec): string[] => nodesOf(spec).map((node) => node.op.name);
  assert.ok(opsOf(recompute).includes("sigmoid") && opsOf(recompute).includes("exp"));
  assert.ok(!opsOf(saved).includes("sigmoid") && !opsOf(saved).includes("exp"));
});

test("nodesOf() leaves out what the outputs do not need and keeps the order", () => {
  const { x, w, hidden, y, seed } = twoLayers();
  const names = nodesOf({ name: "forward", inputs: { x, w }, outputs: { hidden } }).map((n) => n.op.name);
  assert.deepEqual(names, ["mul", "sigmoid"]);
  const all = nodesOf({ name: "all", inputs: { x, w, seed }, outputs: { y } });
  assert.deepEqual(
    all.map((n) => n.op.name),
    ["mul", "sigmoid", "mul", "exp"],
  );
});

test("nodesOf() names a needed input that is not given", () => {
  const { x, y } = twoLayers();
  assert.throws(() => nodesOf({ name: "forward", inputs: { x }, outputs: { y } }), {
    name: "TypeError",
    message: 'Cannot build program "forward": input "w" is not given',
  });
});

test("neededInputs() keeps of the candidates those that are read, in the candidates' order", () => {
  const { x, w, hidden, y, seed, dw } = twoLayers();
  assert.deepEqual(Object.keys(neededInputs({ dw }, { seed, y, w, hidden, x })), [
    "seed",
    "y",
    "hidden",
    "x",
  ]);
  assert.deepEqual(Object.keys(neededInputs({ dw }, { x, w, seed })), ["x", "w", "seed"]);
  assert.deepEqual(neededInputs({ hidden }, { hidden, x }), { hidden });
});

test("constants go into the program and need not be given", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N"]);
  const y = add(mul(x, graph.scalar(2)), graph.scalar(1));
  const spec: ProgramSpec = { name: "affine", inputs: { x }, outputs: { y } };
  checkNames(spec);
  assert.deepEqual(
    emitProgram(spec, PLAIN_TARGET).constants.map(({ data }) => data),
    [Float32Array.of(2), Float32Array.of(1)],
  );
  assert.deepEqual(evaluate(spec, { x: vector(1, 2, 3) })["y"], vector(3, 5, 7));
});

test("an output that is given beside one that is wanted keeps its given value", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N", 2]);
  const weight = graph.input("weight", "float32", [2]);
  const [y, r] = rmsNorm(x, weight, 1e-5);
  const spec: ProgramSpec = { name: "norm", inputs: { x, weight, r }, outputs: { y, z: mul(x, r) } };
  checkNames(spec);
  const matrix = (...values: number[]): Array64 => ({
    shape: [1, values.length],
    data: Float64Array.from(values),
  });
  const feeds = { x: matrix(3, 3), weight: vector(1, 1), r: matrix(7) };
  assert.deepEqual(evaluate(spec, feeds)["z"], matrix(21, 21));
});

test("a value can be two outputs", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N"]);
  const y = exp(x);
  checkNames({ name: "twice", inputs: { x }, outputs: { a: y, b: y } });
});

test("an input can be an output", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N"]);
  checkNames({ name: "pass", inputs: { x }, outputs: { a: x, b: exp(x) } });
});

test("a constant can be an output", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N"]);
  const two = graph.scalar(2);
  checkNames({ name: "constant", inputs: { x }, outputs: { a: two, b: mul(x, two) } });
});

test("inputs may have the names that the file would give to inner values", () => {
  const graph = new Graph();
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => graph.input(name, "float32", ["N"])) as [
    Value,
    Value,
    Value,
    Value,
  ];
  const product = mul(a, b);
  const y = mul(add(product, graph.scalar(1)), mul(c, d));
  checkNames({ name: "names", inputs: { a, b, [`v${product.id}`]: c, c0: d }, outputs: { y } });
});
