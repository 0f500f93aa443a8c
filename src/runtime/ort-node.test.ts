/** @file Programs executed by onnxruntime-node: who owns what, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "../graph/graph.ts";
import { add } from "../graph/ops/add.ts";
import { cast } from "../graph/ops/cast.ts";
import { exp } from "../graph/ops/exp.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { mul } from "../graph/ops/mul.ts";
import { hostTensor, zeros } from "./host-tensor.ts";
import { createOrtEngine } from "./ort-node.ts";

const engine = createOrtEngine({ threads: 1 });

function product() {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N", 2]);
  const w = graph.input("w", "float32", [2, 2]);
  return { name: "product", inputs: { x, w }, outputs: { y: matmul(x, w) } };
}
const w = hostTensor("float32", [2, 2], Float32Array.of(1, 2, 3, 4));

test("the engine tells its name and threads", () => {
  assert.deepEqual([engine.name, engine.threads], ["onnxruntime-node", 1]);
  assert.ok(createOrtEngine().threads >= 1);
});

test("run() writes outputs into the caller's memory, views into larger arrays included", async () => {
  const program = await engine.compile(product());
  const memory = new Float32Array(8).fill(7);
  const y = hostTensor("float32", [2, 2], memory.subarray(2, 6));
  const x = hostTensor("float32", [2, 2], Float32Array.of(9, 9, 1, 0, 0, 1, 9).subarray(2, 6));
  await program.run({ x, w }, { y });
  assert.deepEqual([...memory], [7, 7, 1, 2, 3, 4, 7, 7]);
  await program.release();
});

test("a program that keeps no scratch computes the same", async () => {
  const x = hostTensor("float32", [2, 2], Float32Array.of(1, -2, 3, 0.5));
  const results: number[][] = [];
  for (const keepScratch of [true, false]) {
    const program = await createOrtEngine({ threads: 1, keepScratch }).compile(product());
    for (let run = 0; run < 2; run++) {
      const y = zeros("float32", [2, 2]);
      await program.run({ x, w }, { y });
      results.push([...y.data]);
    }
    await program.release();
  }
  assert.deepEqual(
    results,
    Array.from({ length: 4 }, () => [-5, -6, 4.5, 8]),
  );
});

test("run() takes other sizes and other contents with one program", async () => {
  const program = await engine.compile(product());
  for (const n of [1, 5, 2, 0, 5]) {
    const x = hostTensor(
      "float32",
      [n, 2],
      Float32Array.from({ length: 2 * n }, (_, i) => i),
    );
    const y = zeros("float32", [n, 2]);
    await program.run({ x, w }, { y });
    const expected = Array.from({ length: n }, (_, i) => [2 * i + 3 * (2 * i + 1), 4 * i + 4 * (2 * i + 1)]);
    assert.deepEqual([...y.data], expected.flat());
    x.data.fill(0);
    await program.run({ x, w }, { y });
    assert.ok(y.data.every((v) => v === 0));
  }
  await program.release();
});

test("run() names an input or an output that is not given", async () => {
  const program = await engine.compile(product());
  const [x, y] = [zeros("float32", [1, 2]), zeros("float32", [1, 2])];
  await assert.rejects(program.run({ x }, { y }), {
    name: "RangeError",
    message: 'Cannot run program "product": input "w" is not given',
  });
  await assert.rejects(program.run({ x, w }, {}), {
    name: "RangeError",
    message: 'Cannot run program "product": output "y" is not given',
  });
  await program.release();
});

test("run() does not look at names that the program does not have", async () => {
  const program = await engine.compile(product());
  const [x, y] = [hostTensor("float32", [1, 2], Float32Array.of(1, 1)), zeros("float32", [1, 2])];
  const other = zeros("float32", [3]);
  await program.run({ x, w, other }, { y, other });
  assert.deepEqual([...y.data], [4, 6]);
  await program.release();
});

test("constants bound at compile time need not be fed, and a feed comes before them", async () => {
  const program = await engine.compile(product(), { constants: { w } });
  const [x, y] = [hostTensor("float32", [1, 2], Float32Array.of(1, 1)), zeros("float32", [1, 2])];
  await program.run({ x }, { y });
  assert.deepEqual([...y.data], [4, 6]);
  await program.release();
});

test("an output is never written into a constant of its name", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const kept = zeros("float32", [2]);
  const spec = { name: "exp", inputs: { x }, outputs: { y: exp(x) } };
  const program = await engine.compile(spec, { constants: { y: kept } });
  const run = program.run({ x: zeros("float32", [2]) }, {});
  await assert.rejects(run, /output "y" is not given/);
  assert.deepEqual([...kept.data], [0, 0]);
});

test("run() refuses an output of another size", async () => {
  const program = await engine.compile(product());
  const [x, y] = [zeros("float32", [2, 2]), zeros("float32", [3, 2])];
  await assert.rejects(program.run({ x, w }, { y }), /shape/);
  await program.release();
});

test("two programs share memory: one's output is the other's input", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const first = await engine.compile({
    name: "first",
    inputs: { x },
    outputs: { y: add(x, graph.scalar(1)) },
  });
  const second = await engine.compile({ name: "second", inputs: { y: x }, outputs: { z: mul(x, x) } });
  const [y, z] = [zeros("float32", [2]), zeros("float32", [2])];
  await first.run({ x: hostTensor("float32", [2], Float32Array.of(1, 2)) }, { y });
  await second.run({ y }, { z });
  assert.deepEqual([...z.data], [4, 9]);
  await Promise.all([first.release(), second.release()]);
});

test("integers of every width go in and out", async () => {
  const graph = new Graph();
  const wide = graph.input("wide", "int64", [2]);
  const small = graph.input("small", "int8", [2]);
  const byte = graph.input("byte", "uint8", [2]);
  const flag = graph.input("flag", "bool", [2]);
  const outputs = {
    a: cast(wide, "float32"),
    b: cast(small, "int64"),
    c: cast(byte, "int32"),
    d: cast(flag, "float32"),
  };
  const program = await engine.compile({ name: "casts", inputs: { wide, small, byte, flag }, outputs });
  const into = {
    a: zeros("float32", [2]),
    b: zeros("int64", [2]),
    c: zeros("int32", [2]),
    d: zeros("float32", [2]),
  };
  await program.run(
    {
      wide: hostTensor("int64", [2], BigInt64Array.of(-5n, 9n)),
      small: hostTensor("int8", [2], Int8Array.of(-128, 127)),
      byte: hostTensor("uint8", [2], Uint8Array.of(0, 255)),
      flag: hostTensor("bool", [2], Uint8Array.of(1, 0)),
    },
    into,
  );
  assert.deepEqual([...into.a.data], [-5, 9]);
  assert.deepEqual([...into.b.data], [-128n, 127n]);
  assert.deepEqual([...into.c.data], [0, 255]);
  assert.deepEqual([...into.d.data], [1, 0]);
  await program.release();
});

test("float16 goes in and out as 16 raw bits", async () => {
  const graph = new Graph();
  const half = graph.input("half", "float16", [2]);
  const x = graph.input("x", "float32", [2]);
  const outputs = { wide: cast(half, "float32"), narrow: cast(x, "float16") };
  const program = await engine.compile({ name: "halves", inputs: { half, x }, outputs });
  const into = { wide: zeros("float32", [2]), narrow: zeros("float16", [2]) };
  await program.run(
    {
      half: hostTensor("float16", [2], Uint16Array.of(0x3c00, 0xc000)),
      x: hostTensor("float32", [2], Float32Array.of(1, -2)),
    },
    into,
  );
  assert.deepEqual([...into.wide.data], [1, -2]);
  assert.deepEqual([...into.narrow.data], [0x3c00, 0xc000]);
});
