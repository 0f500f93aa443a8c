/** @file Programs executed by each of the engines: who owns what, and equal numbers. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { Graph } from "../graph/graph.ts";
import { add, exp, mul } from "../graph/ops/pointwise/elementwise.ts";
import { cast } from "../graph/ops/shapes/cast.ts";
import { matmul } from "../graph/ops/products/matmul.ts";
import { BufferPool } from "./memory/buffer-pool.ts";
import { hostTensor, zeros } from "./host-tensor.ts";
import { createEngine } from "./create-engine.ts";
import { type Engine, type EngineOptions, onThreads } from "./engine.ts";
import { createNativeEngine } from "./ort/ort-native.ts";
import { createNodeEngine } from "./ort/ort-node.ts";

function product() {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N", 2]);
  const w = graph.input("w", "float32", [2, 2]);
  return { name: "product", inputs: { x, w }, outputs: { y: matmul(x, w) } };
}
const w = hostTensor("float32", [2, 2], Float32Array.of(1, 2, 3, 4));

const run = promisify(execFile);

const ENGINES: readonly (readonly [string, (options?: EngineOptions) => Engine])[] = [
  ["onnxruntime", createNativeEngine],
  ["onnxruntime-node", createNodeEngine],
];

for (const [name, create] of ENGINES) {
  describe(`the engine ${name}`, () => {
    const engine = create({ threads: 1 });

    test("the engine tells its name and threads", () => {
      assert.deepEqual([engine.name, engine.threads], [name, 1]);
      assert.ok(create().threads >= 1);
      assert.equal(create({ threads: undefined }).threads, create().threads);
    });

    test("programs on fewer threads run beside each other, as often as asked", async () => {
      const some = onThreads(create({ threads: 2 }), 1);
      assert.deepEqual([some.name, some.threads], [name, 1]);
      const program = await some.compile(product());
      const ys = Array.from({ length: 8 }, () => zeros("float32", [2, 2]));
      const x = hostTensor("float32", [2, 2], Float32Array.of(1, 0, 0, 1));
      await Promise.all(ys.map((y) => program.run({ x, w }, { y })));
      for (const y of ys) assert.deepEqual([...y.data], [1, 2, 3, 4]);
      await program.release();
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

    test("run() writes an output that updates an input into the memory of that input", async () => {
      const graph = new Graph();
      const [x, z] = [graph.input("x", "float32", [3]), graph.input("z", "float32", [3])];
      const outputs = { sum: add(x, z), twice: add(z, z) };
      const program = await engine.compile({
        name: "update",
        inputs: { x, z },
        outputs,
        updates: { sum: "x" },
      });
      const tensor = (...values: number[]) => hostTensor("float32", [3], Float32Array.from(values));
      const feeds = { x: tensor(1, 2, 3), z: tensor(10, 20, 30) };
      const twice = zeros("float32", [3]);
      for (let run = 0; run < 2; run++) await program.run(feeds, { twice });
      assert.deepEqual([...feeds.x.data], [21, 42, 63]);
      assert.deepEqual([...twice.data], [20, 40, 60]);
      // What is written must be nobody else's.
      await assert.rejects(program.run({ x: feeds.x, z: feeds.x }, { twice }), /"z" is being written/);
      await assert.rejects(program.run(feeds, { twice: feeds.x }), /"twice" is in use|"sum" is in use/);
      await assert.rejects(program.run({ z: feeds.z }, { twice }), /input "x" is not given/);
      await program.run(feeds, { twice });
      await program.release();
    });

    test("programs that share scratch compute the same", async () => {
      const x = hostTensor("float32", [2, 2], Float32Array.of(1, -2, 3, 0.5));
      const results: number[][] = [];
      for (const shareScratch of [false, true, true]) {
        const program = await create({ threads: 1, shareScratch }).compile(product());
        for (let run = 0; run < 2; run++) {
          const y = zeros("float32", [2, 2]);
          await program.run({ x, w }, { y });
          results.push([...y.data]);
        }
        await program.release();
      }
      assert.deepEqual(
        results,
        Array.from({ length: 6 }, () => [-5, -6, 4.5, 8]),
      );
    });

    test("run() reads and writes memory of the engine's own, and lends none of it twice", async () => {
      const pool = new BufferPool(engine.makeMemory);
      const [x, y] = [pool.acquire("float32", [2, 2]), pool.acquire("float32", [2, 2])];
      const program = await engine.compile(product());
      x.data.set([1, -2, 3, 0.5]);
      for (let run = 0; run < 2; run++) {
        await program.run({ x, w }, { y });
        assert.deepEqual([...y.data], [-5, -6, 4.5, 8]);
      }
      await assert.rejects(program.run({ x, w }, { y: x }), /"x" is being written/);
      await program.release();
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
        const expected = Array.from({ length: n }, (_, i) => [
          2 * i + 3 * (2 * i + 1),
          4 * i + 4 * (2 * i + 1),
        ]);
        assert.deepEqual([...y.data], expected.flat());
        x.data.fill(0);
        await program.run({ x, w }, { y });
        assert.ok(y.data.every((v) => v === 0));
      }
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

    test("constants bound at compile time need not be fed", async () => {
      const program = await engine.compile(product(), { constants: { w } });
      const [x, y] = [hostTensor("float32", [1, 2], Float32Array.of(1, 1)), zeros("float32", [1, 2])];
      await program.run({ x }, { y });
      assert.deepEqual([...y.data], [4, 6]);
      await program.run({ x, w }, { y });
      assert.deepEqual([...y.data], [4, 6]);
      await program.release();
    });

    test("constants of every size and type give what inputs give", async () => {
      for (const [rows, foldsConstants] of [
        [2, true],
        [40, true],
        [40, false],
      ] as const) {
        const graph = new Graph();
        const x = graph.input("x", "float32", ["N", rows]);
        const half = graph.input("half", "float16", [rows, rows]);
        const shift = graph.input("shift", "float32", [rows]);
        const y = add(matmul(x, cast(half, "float32")), exp(shift));
        const spec = { name: "affine", inputs: { x, half, shift }, outputs: { y } };
        const tensors = {
          half: hostTensor(
            "float16",
            [rows, rows],
            Uint16Array.from({ length: rows * rows }, (_, i) => 0x3c00 + i),
          ),
          shift: hostTensor(
            "float32",
            [rows],
            Float32Array.from({ length: rows }, (_, i) => i / rows),
          ),
        };
        const input = hostTensor("float32", [1, rows], new Float32Array(rows).fill(0.5));
        const [bound, fed] = [zeros("float32", [1, rows]), zeros("float32", [1, rows])];
        const withConstants = await engine.compile(spec, { constants: tensors, foldsConstants });
        await withConstants.run({ x: input }, { y: bound });
        await (await engine.compile(spec)).run({ x: input, ...tensors }, { y: fed });
        assert.ok(bound.data.every((value, i) => Math.abs(value - fed.data[i]!) <= 1e-6 * Math.abs(value)));
        assert.ok(fed.data.every((value) => value > rows / 2));
        await withConstants.release();
      }
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
  });
}

test("createEngine() takes the C API where it can be called, and else the binding", async () => {
  assert.equal(createEngine().name, "onnxruntime");
  const source = `
    import Module from "node:module";
    const load = Module._load;
    Module._load = (name, ...rest) => {
      if (name === "koffi") throw new Error("no build");
      return load(name, ...rest);
    };
    const { createEngine } = await import(${JSON.stringify(new URL("create-engine.ts", import.meta.url).href)});
    console.log(createEngine().name);
  `;
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", source]);
  assert.equal(stdout.trim(), "onnxruntime-node");
});

test("createEngine() refuses numbers of threads that no machine can serve", () => {
  for (const threads of [0, -1, 1.5, Number.NaN, 513, 100_000]) {
    assert.throws(() => createEngine({ threads }), {
      code: "usage/flag",
      message: `Cannot compute on ${threads} threads: expected a whole number from 1 to 512`,
    });
  }
});
