/** @file The gradient of a head of 8-bit codes, added up over positions: small probabilities must not be lost in it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gradients } from "../../src/graph/autodiff.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { int8 } from "../../src/nn/computes/int8.ts";
import { float32Product } from "../../src/nn/computes/f32.ts";
import type { Matrix, Product } from "../../src/nn/compute.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";

const [POSITIONS, WIDTH, WORDS] = [96, 32, 6000];
const HEAD: Matrix = { role: "head", inFeatures: WIDTH, outFeatures: WORDS, storedTransposed: false };

test("sums over positions of an 8-bit head's gradient are those in float32, with thousands of improbable words", async () => {
  const random = new Random(3);
  // The first word takes most of the probability everywhere, the label is one of the others; they share what is left.
  const hidden = new Float32Array(POSITIONS * WIDTH).map((_, i) =>
    i % WIDTH === 0 ? 4 : random.normal() / 8,
  );
  const weight = new Float32Array(WORDS * WIDTH).map((_, i) =>
    i % WIDTH === 0 ? (i === 0 ? 2.5 : 0.2) : random.normal() / 8,
  );
  const labels = BigInt64Array.from({ length: POSITIONS }, () => BigInt(random.integer(WORDS)));
  const feeds = {
    hidden: hostTensor("float32", [POSITIONS, WIDTH], hidden),
    labels: hostTensor("int64", [POSITIONS], labels),
    scale: hostTensor("float32", [POSITIONS, 1], new Float32Array(POSITIONS).fill(1 / POSITIONS)),
  };
  const matrix = hostTensor("float32", [WORDS, WIDTH], weight);
  const product = int8.product(HEAD, "f32");
  assert.ok(product);
  const exact = await sumOfGradients(float32Product(HEAD), matrix, feeds);
  const found = await sumOfGradients(product, matrix, feeds);
  const apart = Math.hypot(...found.map((value, i) => value - exact[i]!));
  assert.ok(apart < 0.03 * Math.hypot(...exact), `${apart} apart of ${Math.hypot(...exact)}`);
});

async function sumOfGradients(
  product: Product,
  matrix: HostTensor<"float32">,
  feeds: Readonly<Record<string, HostTensor>>,
): Promise<readonly number[]> {
  const engine = createEngine({ threads: 1 });
  const graph = new Graph();
  const hidden = graph.input("hidden", "float32", [POSITIONS, WIDTH]);
  const labels = graph.input("labels", "int64", [POSITIONS]);
  const scale = graph.input("scale", "float32", [POSITIONS, 1]);
  const operands = product.operands.map(({ suffix, dtype, shape }): [string, Value] => [
    suffix,
    graph.input(`w${suffix}`, dtype, shape),
  ]);
  const joint = product.crossEntropy?.(hidden, Object.fromEntries(operands), labels);
  assert.ok(joint);
  const [dHidden] = gradients([{ value: joint.loss, gradient: scale }], [hidden]);
  const reader = {
    stored: () => Promise.reject(new Error("not asked for")),
    readInto: async (into: Float32Array, start = 0) =>
      into.set(matrix.data.subarray(start, start + into.length)),
    view: () => matrix,
    smoothing: () => null,
  };
  const made = await product.prepare(reader, ({ dtype, shape }) => zeros(dtype, shape));
  const inputs = Object.fromEntries(
    [hidden, labels, scale, ...operands.map(([, value]) => value)].map((value) => [value.name!, value]),
  );
  const program = await engine.compile({ name: "head", inputs, outputs: { dHidden: dHidden! } });
  const into = zeros("float32", [POSITIONS, WIDTH]);
  const weights = Object.fromEntries(Object.entries(made).map(([suffix, of]) => [`w${suffix}`, of]));
  await program.run({ ...feeds, ...weights }, { dHidden: into });
  await program.release();
  return Array.from({ length: WIDTH }, (_, d) => {
    let sum = 0;
    for (let n = 0; n < POSITIONS; n++) sum += into.data[n * WIDTH + d]!;
    return sum;
  });
}
