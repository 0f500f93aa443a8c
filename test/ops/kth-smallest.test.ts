/** @file kthSmallest on data that is made to mislead its sample. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "../../src/graph/graph.ts";
import { kthSmallest } from "../../src/graph/ops/reductions/kth-smallest.ts";
import { Random } from "../../src/random.ts";
import { hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";

const ROWS = 300;
const COLUMNS = 256;
const COUNT = ROWS * COLUMNS;
const engine = createEngine({ threads: 1 });
const random = new Random(1);

/** Selects with our program and by sorting. */
async function both(data: Float32Array, k: number): Promise<{ found: number; expected: number }> {
  const graph = new Graph();
  const x = graph.input("x", "float32", [ROWS, COLUMNS]);
  const program = await engine.compile({ name: "kth", inputs: { x }, outputs: { y: kthSmallest(x, k) } });
  const y = zeros("float32", []);
  await program.run({ x: hostTensor("float32", [ROWS, COLUMNS], data) }, { y });
  await program.release();
  return { found: y.data[0]!, expected: data.toSorted()[k - 1]! };
}

const filled = (element: (i: number) => number): Float32Array =>
  Float32Array.from({ length: COUNT }, (_, i) => element(i));

/** The sample takes an element in twenty or so; every distance near that is tried. */
const MISLEADING: Readonly<Record<string, Float32Array>> = {
  ...Object.fromEntries(
    [19, 20, 21, 22, 23, 24, 25].map((step) => [
      `small where a sample of every ${step}th element looks`,
      filled((i) => (i % step === 0 ? random.uniform() : 5 + random.uniform())),
    ]),
  ),
  "one large value among zeros": filled((i) => (i === 1 ? 1 : 0)),
  "infinities on both sides": filled((i) =>
    i % 3 === 0 ? -Infinity : i % 3 === 1 ? Infinity : random.normal(),
  ),
  sorted: filled((i) => i / COUNT),
  "rows of one value each": filled((i) => ((i / COLUMNS) | 0) % 7),
};

for (const [name, data] of Object.entries(MISLEADING)) {
  test(`kthSmallest() is exact on data that are ${name}`, async () => {
    for (const k of [1, 700, COUNT / 2, Math.ceil(0.9 * COUNT), COUNT - 3, COUNT]) {
      const { found, expected } = await both(data, k);
      assert.equal(found, expected, `number ${k}`);
    }
  });
}

test("kthSmallest() of data that are not all numbers still answers", async () => {
  const some = filled((i) => (i % 5 === 0 ? NaN : 1));
  assert.ok(!Number.isNaN((await both(some, COUNT / 2)).found));
  const { found } = await both(new Float32Array(COUNT).fill(NaN), COUNT / 2);
  assert.equal(found, Infinity);
});
