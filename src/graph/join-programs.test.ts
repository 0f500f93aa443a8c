import assert from "node:assert/strict";
import { test } from "node:test";
import { createEngine } from "../runtime/create-engine.ts";
import { hostTensor, zeros } from "../runtime/host-tensor.ts";
import { Graph } from "./graph.ts";
import { inPart, joinPrograms } from "./join-programs.ts";
import { mul } from "./ops/pointwise/elementwise.ts";
import { matmulPartsOp } from "./ops/products/matmul-parts.ts";
import { matmul } from "./ops/products/matmul.ts";
import { reshape } from "./ops/shapes/reshape.ts";
import { type ProgramSpec, nodesOf } from "./program.ts";

/** y = factor · (x W) W, with rows laid out anew in between. */
function twice(factor: number): ProgramSpec {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["B", "T", 2]);
  const w = graph.input("w", "float32", [2, 2]);
  const rows = reshape(matmul(x, w), ["B*T", 2]);
  const y = mul(matmul(rows, w), graph.scalar(factor));
  return { name: `times ${factor}`, inputs: { x, w }, outputs: { y } };
}

const plain = (spec: ProgramSpec) => ({ spec, shared: new Map<string, string>() });
const sharing = (spec: ProgramSpec) => ({ spec, shared: new Map([["w", "w"]]) });
/** How many products there are of three parts. */
const numJoined = (spec: ProgramSpec): number =>
  nodesOf(spec).filter(({ op, inputs }) => op === matmulPartsOp && inputs.length === 4).length;

test("products with a matrix that parts share are one, and each part has what it had", async () => {
  // One and the same program may be there more than once.
  const second = twice(10);
  const spec = joinPrograms([plain(twice(1)), sharing(second), sharing(second)]);
  assert.deepEqual(Object.keys(spec.inputs), ["x", "w", "1/x", "2/x"]);
  assert.equal(numJoined(spec), 2);
  const program = await createEngine({ threads: 1 }).compile(spec);
  const shapes = [
    [2, 1, 2],
    [1, 3, 2],
    [1, 1, 2],
  ];
  const inputs = shapes.map((shape, part) => {
    const values = Float32Array.from({ length: shape[0]! * shape[1]! * 2 }, (_, i) => 1 + i + part);
    return hostTensor("float32", shape, values);
  });
  const w = hostTensor("float32", [2, 2], Float32Array.of(0, 1, 2, 0));
  const outputs = shapes.map(([numRows = 0, length = 0]) => zeros("float32", [numRows * length, 2]));
  const named = (name: string, tensors: typeof inputs) =>
    Object.fromEntries(tensors.map((tensor, part) => [inPart(part, name), tensor]));
  await program.run({ ...named("x", inputs), w }, named("y", outputs));
  await program.release();
  // W W is twice the identity.
  for (const [part, { data }] of outputs.entries())
    assert.deepEqual(
      data,
      inputs[part]!.data.map((value) => (part === 0 ? 2 : 20) * value),
    );
});

test("parts that share nothing are side by side", () => {
  const spec = joinPrograms([plain(twice(1)), plain(twice(2))]);
  assert.deepEqual(Object.keys(spec.inputs), ["x", "w", "1/x", "1/w"]);
  assert.ok(nodesOf(spec).every(({ op }) => op !== matmulPartsOp));
});
