/** @file What is found of a processor, and that programs written for any of them multiply the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Target } from "../graph/emitter.ts";
import { Graph } from "../graph/graph.ts";
import { matmulInt8, sumSharesInt8 } from "../graph/ops/products/matmul-int8.ts";
import { emitProgram } from "../graph/program.ts";
import { createEngine } from "./create-engine.ts";
import type { Engine } from "./engine.ts";
import { findTarget } from "./find-target.ts";
import { hostTensor, zeros } from "./host-tensor.ts";

/** Multiplies as a processor whose sums of pairs do not fit does, where a program is not written for it. */
const overflowing =
  (compiled: string[]) =>
  (target: () => Target): Engine["compile"] =>
  async (spec) => {
    compiled.push(spec.name);
    const isRight = target().bytePairsOverflow;
    return {
      spec,
      run: async (_, { y }) => void (y!.data as Float32Array).fill(isRight ? 32 : 16.2),
      release: async () => {},
    };
  };

test("a processor whose pairs of products overflow is found by one try", async () => {
  const compiled: string[] = [];
  const target = findTarget(overflowing(compiled));
  assert.deepEqual(compiled, []);
  assert.deepEqual(await Promise.all([target(), target()]), [
    { bytePairsOverflow: true },
    { bytePairsOverflow: true },
  ]);
  assert.deepEqual(compiled, ["byte-pairs"]);
});

test("a try that failed, as where memory was short, is made again", async () => {
  const [compiled, compile] = [[] as string[], overflowing([])];
  const target = findTarget((of) => async (spec, options) => {
    compiled.push(spec.name);
    if (compiled.length === 1) throw new Error("made up");
    return await compile(of)(spec, options);
  });
  await assert.rejects(target(), { message: "made up" });
  assert.deepEqual(await target(), { bytePairsOverflow: true });
  assert.equal(compiled.length, 2);
});

test("programs for such a processor multiply unsigned codes, and for others the codes as they are", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2, 32]);
  const codes = graph.input("codes", "int8", [32, 8]);
  const spec = { name: "sums", inputs: { x, codes }, outputs: { y: sumSharesInt8(x, codes) } };
  const codesOf = (bytePairsOverflow: boolean): boolean | undefined => {
    const { nodes } = emitProgram(spec, { bytePairsOverflow });
    return nodes.find(({ opType }) => opType === "MatMulIntegerToFloat")?.inputs.includes("codes");
  };
  assert.deepEqual([codesOf(true), codesOf(false)], [false, true]);
});

test("the largest rows and codes are multiplied exactly on this processor", async () => {
  const engine = createEngine({ threads: 1 });
  for (const [numRows, sign] of [1, 3, 64].flatMap((rows) => [1, -1].map((s) => [rows, s] as const))) {
    const graph = new Graph();
    const x = graph.input("x", "float32", [numRows, 64]);
    const codes = graph.input("codes", "int8", [64, 8]);
    const scales = graph.input("scales", "float32", [8]);
    const inputs = { x, codes, scales };
    const outputs = { y: matmulInt8(x, codes, scales), shares: sumSharesInt8(x, codes) };
    const program = await engine.compile({ name: "largest", inputs, outputs });
    const [y, shares] = [zeros("float32", [numRows, 8]), zeros("float32", [numRows, 8])];
    const feeds = {
      x: hostTensor("float32", [numRows, 64], new Float32Array(numRows * 64).fill(1)),
      codes: hostTensor("int8", [64, 8], new Int8Array(64 * 8).fill(sign * 127)),
      scales: hostTensor("float32", [8], new Float32Array(8).fill(1)),
    };
    await program.run(feeds, { y, shares });
    await program.release();
    for (const sum of y.data) assert.ok(Math.abs(sum / (sign * 64 * 127) - 1) < 1e-6, `rows: ${sum}`);
    // A share that is rounded down by its threshold is a code less.
    for (const sum of shares.data) {
      assert.ok(Math.abs(sum / (sign * 64 * 127) - 1) < 0.005, `shares: ${sum}`);
    }
  }
});
