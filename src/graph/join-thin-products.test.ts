import assert from "node:assert/strict";
import { test } from "node:test";
import type { Array64 } from "../../test/ops/array64.ts";
import { evaluate } from "../../test/reference/evaluator.ts";
import { Random } from "../random.ts";
import { gradients } from "./autodiff.ts";
import { Graph, type Value } from "./graph.ts";
import { joinThinProducts } from "./join-thin-products.ts";
import { add, mul } from "./ops/pointwise/elementwise.ts";
import { matmul, matmulOp } from "./ops/products/matmul.ts";
import { type ProgramSpec, nodesOf } from "./program.ts";

const [NUM_ROWS, WIDTH, RANKS] = [3, 64, [2, 4]] as const;

const random = new Random(1);
const drawn = (shape: readonly number[]): Array64 => ({
  shape,
  data: Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()),
});

/** y = W x ∘ (B₁ A₁ x + B₂ A₂ x), a mask on what A₁ gives, and all gradients of it. */
function twoAdapters(isJoined: boolean): ProgramSpec {
  const graph = new Graph();
  const shapes = {
    x: [1, NUM_ROWS, WIDTH],
    weight: [WIDTH, WIDTH],
    mask: [RANKS[0]],
    seed: [1, NUM_ROWS, WIDTH],
    a0: [RANKS[0], WIDTH],
    b0: [WIDTH, RANKS[0]],
    a1: [RANKS[1], WIDTH],
    b1: [WIDTH, RANKS[1]],
  };
  const inputs = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, graph.input(name, "float32", shape)]),
  );
  const of = (name: keyof typeof shapes): Value => inputs[name] as Value;
  const change = (low: Value, b: Value): Value => matmul(low, b, { transB: true });
  const times = (matrix: Value): Value => matmul(of("x"), matrix, { transB: true });
  const sum = add(change(mul(times(of("a0")), of("mask")), of("b0")), change(times(of("a1")), of("b1")));
  const plain = mul(times(of("weight")), sum);
  const spec = { name: "adapters", inputs, outputs: { y: plain } };
  const y = isJoined ? joinThinProducts(spec)(plain) : plain;
  const wanted = ["x", "mask", "a0", "b0", "a1", "b1"] as const;
  const found = gradients([{ value: y, gradient: of("seed") }], wanted.map(of));
  const named = Object.fromEntries(wanted.map((name, i) => [`d ${name}`, found[i]!]));
  return { name: "adapters", inputs, outputs: { y, ...named } };
}

const [plain, joined] = [twoAdapters(false), twoAdapters(true)];
const feeds = Object.fromEntries(
  Object.entries(joined.inputs).map(([name, { shape }]) => [name, drawn(shape as readonly number[])]),
);

const productsOf = (spec: ProgramSpec): number => nodesOf(spec).filter(({ op }) => op === matmulOp).length;

test("thin products of one value are one, and so are those of its gradients", () => {
  // Forward, for the matrices and for x: one product each that was two.
  assert.equal(productsOf(joined), productsOf(plain) - 3);
});

test("values and gradients are those of the products by themselves", () => {
  const [expected, found] = [evaluate(plain, feeds, {}), evaluate(joined, feeds, {})];
  for (const [name, { data }] of Object.entries(expected)) {
    for (const [i, value] of data.entries())
      assert.ok(Math.abs(value - found[name]!.data[i]!) < 1e-10, `${name}[${i}]`);
  }
});

test("gradients are central differences", () => {
  const step = 1e-6;
  const found = evaluate(joined, feeds, {});
  const along = (fed: typeof feeds): number =>
    evaluate(joined, fed, {})["y"]!.data.reduce((total, y, i) => total + y * feeds["seed"]!.data[i]!, 0);
  for (const name of ["x", "a0", "a1"]) {
    const { shape, data } = feeds[name]!;
    for (const i of [0, 70, 127]) {
      const moved = (by: number): number =>
        along({ ...feeds, [name]: { shape, data: data.map((value, j) => (i === j ? value + by : value)) } });
      const slope = (moved(step) - moved(-step)) / (2 * step);
      assert.ok(Math.abs(slope - found[`d ${name}`]!.data[i]!) < 1e-4, `${name}[${i}]: ${slope}`);
    }
  }
});
