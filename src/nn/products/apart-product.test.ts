/** @file Products with some columns apart: near to float32 where a few channels are far larger than the others. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Graph, type Value } from "../../graph/graph.ts";
import { Random } from "../../random.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { hostTensor, zeros } from "../../runtime/host-tensor.ts";
import { apartProduct } from "./apart-product.ts";
import type { Matrix, Product } from "../compute.ts";
import { int8ForwardProduct } from "./int8-product.ts";

const [ROWS, WIDTH, OUTPUTS] = [6, 96, 40];
const MATRIX: Matrix = { role: "down", inFeatures: WIDTH, outFeatures: OUTPUTS, storedTransposed: false };
/** Channels that are far larger than the others, in some rows alone. */
const LARGE = [5, 70];

const random = new Random(3);
const weight = Float32Array.from({ length: OUTPUTS * WIDTH }, () => random.normal());
const x = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => {
  const isLarge = LARGE.includes(i % WIDTH) && Math.floor(i / WIDTH) % 2 === 0;
  return random.normal() * (isLarge ? 300 : 1);
});
const engine = createEngine({ threads: 1 });
const programs: { release(): Promise<void> }[] = [];
after(() => Promise.all(programs.map((program) => program.release())));

/** √(largest entry of a channel's weights / of its inputs). */
const factors = Float32Array.from({ length: WIDTH }, (_, k) => {
  const largest = (of: Float32Array): number =>
    of.reduce((most, value, i) => (i % WIDTH === k ? Math.max(most, Math.abs(value)) : most), 0);
  return Math.sqrt(largest(weight) / largest(x));
});

/** x [ROWS, WIDTH] times the matrix, and the matrix as the product has it. */
async function multiply(
  product: Product,
  of: Float32Array,
): Promise<{ y: Float32Array; dense: Float32Array }> {
  const operands = await product.prepare(
    {
      stored: () => assert.fail("values are read"),
      readInto: async (into, start = 0) => into.set(weight.subarray(start, start + into.length)),
      view: () => null,
      smoothing: () => hostTensor("float32", [WIDTH], factors),
    },
    ({ dtype, shape }) => zeros(dtype, shape),
  );
  const graph = new Graph();
  const input = graph.input("x", "float32", [1, "T", WIDTH]);
  const values: Record<string, Value> = {};
  for (const { suffix, dtype, shape } of product.operands)
    values[suffix] = graph.input(`w${suffix}`, dtype, shape);
  const inputs = Object.fromEntries([input, ...Object.values(values)].map((value) => [value.name!, value]));
  const outputs = { y: product.project(input, values), dense: product.dense(values) };
  const bound = Object.fromEntries(Object.entries(operands).map(([suffix, one]) => [`w${suffix}`, one]));
  const program = await engine.compile({ name: "product", inputs, outputs }, { constants: bound });
  programs.push(program);
  const into = { y: zeros("float32", [1, ROWS, OUTPUTS]), dense: zeros("float32", [OUTPUTS, WIDTH]) };
  await program.run({ x: hostTensor("float32", [1, ROWS, WIDTH], of) }, into);
  return { y: into.y.data, dense: into.dense.data };
}

const exact = Float32Array.from({ length: ROWS * OUTPUTS }, (_, at) => {
  const [row, n] = [Math.floor(at / OUTPUTS), at % OUTPUTS];
  let sum = 0;
  for (let k = 0; k < WIDTH; k++) sum += x[row * WIDTH + k]! * weight[n * WIDTH + k]!;
  return sum;
});
const distance = (a: Float32Array, b: Float32Array): number =>
  Math.hypot(...a.map((value, i) => value - b[i]!));

test("columns of large channels are multiplied in float32", async () => {
  const { y, dense } = await multiply(apartProduct(MATRIX), x);
  for (const [i, value] of dense.entries()) {
    if (LARGE.includes(i % WIDTH)) assert.ok(Math.abs(value - weight[i]!) < 1e-6, `weight ${i}`);
  }
  assert.ok(distance(dense, weight) < 0.01 * Math.hypot(...weight), "the matrix");
  const { y: whole } = await multiply(
    int8ForwardProduct(MATRIX),
    x.map((value, i) => value * factors[i % WIDTH]!),
  );
  const [apart, all] = [distance(y, exact), distance(whole, exact)];
  assert.ok(apart < all / 5, `${apart} apart, ${all} with all in 8 bits, of ${Math.hypot(...exact)}`);
});
