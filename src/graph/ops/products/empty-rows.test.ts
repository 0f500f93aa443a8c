/** @file Experts that no token chooses have products of no rows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEngine } from "../../../runtime/create-engine.ts";
import { hostTensor, zeros } from "../../../runtime/host-tensor.ts";
import { Graph } from "../../graph.ts";
import { mul } from "../pointwise/elementwise.ts";
import { matmulInt8 } from "./matmul-int8.ts";

test("8-bit products for writing text take any number of rows, and none", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N", 4]);
  const weights = {
    codes: graph.input("codes", "int8", [4, 6]),
    scales: graph.input("scales", "float32", [6]),
    back: graph.input("back", "int8", [6, 4]),
    backScales: graph.input("backScales", "float32", [4]),
    factors: graph.input("factors", "float32", [6]),
  };
  const middle = mul(matmulInt8(x, weights.codes, weights.scales), weights.factors);
  const y = matmulInt8(middle, weights.back, weights.backScales);
  const program = await createEngine({ threads: 1 }).compile({
    name: "products",
    inputs: { x, ...weights },
    outputs: { y },
  });
  const given = {
    codes: hostTensor("int8", [4, 6], new Int8Array(24).fill(2)),
    scales: hostTensor("float32", [6], new Float32Array(6).fill(0.5)),
    back: hostTensor("int8", [6, 4], new Int8Array(24).fill(1)),
    backScales: hostTensor("float32", [4], new Float32Array(4).fill(1)),
    factors: hostTensor("float32", [6], new Float32Array(6).fill(1)),
  };
  for (const numRows of [0, 1, 3]) {
    const into = zeros("float32", [numRows, 4]);
    const rows = hostTensor("float32", [numRows, 4], new Float32Array(4 * numRows).fill(1));
    await program.run({ x: rows, ...given }, { y: into });
    for (const value of into.data) assert.ok(Math.abs(value - 24) < 0.2, `${value}`);
  }
  await program.release();
});
