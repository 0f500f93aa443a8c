/** @file What runs through the C API have beyond other engines: the thread stays free, and memory of any origin is theirs. */
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { Graph, type Value } from "../../graph/graph.ts";
import { cast } from "../../graph/ops/shapes/cast.ts";
import { add, exp } from "../../graph/ops/pointwise/elementwise.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import type { Program } from "../engine.ts";
import { type HostTensor, hostTensor, zeros } from "../host-tensor.ts";
import { loadKoffi } from "../load-koffi.ts";
import { mapFile } from "../memory/mapped-file.ts";
import { createNativeEngine } from "./ort-native.ts";
import { residentBytes } from "../../../test/process/resident-bytes.ts";

const engine = createNativeEngine({ threads: 1 });
const SIZE = 400;

/** Some products in a row: y = x · wⁿ, [SIZE, SIZE]. */
function compilePower(exponent: number, constants = {}): Promise<Program> {
  const graph = new Graph();
  const [x, w] = [graph.input("x", "float32", [SIZE, SIZE]), graph.input("w", "float32", [SIZE, SIZE])];
  let y: Value = x;
  for (let i = 0; i < exponent; i++) y = matmul(y, w);
  return engine.compile({ name: "power", inputs: { x, w }, outputs: { y } }, { constants });
}

/** A matrix of 1 / SIZE, which is its own square. */
function mean(data: Float32Array = new Float32Array(SIZE * SIZE)): HostTensor<"float32"> {
  return hostTensor("float32", [SIZE, SIZE], data.fill(1 / SIZE));
}

function isMean(tensor: HostTensor<"float32">): boolean {
  return tensor.data.every((value) => Math.abs(value * SIZE - 1) < 1e-4);
}

test("timers go on during a long run", async () => {
  const program = await compilePower(40);
  const [x, y] = [mean(), zeros("float32", [SIZE, SIZE])];
  let numTicks = 0;
  const ticking = setInterval(() => numTicks++, 1);
  const start = performance.now();
  await program.run({ x, w: x }, { y });
  const takenMs = performance.now() - start;
  clearInterval(ticking);
  assert.ok(numTicks > Math.min(takenMs / 10, 5), `${numTicks} ticks in ${takenMs} ms`);
  assert.ok(isMean(y));
  await program.release();
});

test("what follows from constants alone is not kept where that is not wanted", async () => {
  const graph = new Graph();
  const [rows, columns] = [4000, 4000];
  const x = graph.input("x", "float32", ["N", rows]);
  const codes = graph.input("codes", "uint8", [rows, columns]);
  const y = matmul(x, cast(codes, "float32"));
  const constants = { codes: zeros("uint8", [rows, columns]) };
  const before = residentBytes();
  const program = await engine.compile(
    { name: "floats", inputs: { x, codes }, outputs: { y } },
    { constants, foldsConstants: false },
  );
  assert.ok(residentBytes() - before < 40e6, "16 MB of codes, and no 64 of floats");
  await program.release();
});

test("timers go on during a long row of short runs", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const program = await engine.compile({ name: "short", inputs: { x }, outputs: { y: exp(x) } });
  const [input, y] = [zeros("float32", [2]), zeros("float32", [2])];
  const over = new AbortController();
  const timer = setTimeout(30).then(() => over.abort());
  let numRuns = 0;
  while (!over.signal.aborted && numRuns < 1e7) {
    await program.run({ x: input }, { y });
    numRuns++;
  }
  assert.ok(numRuns > 0 && over.signal.aborted, `${numRuns} runs`);
  await timer;
  await program.release();
});

test("two runs at a time: apart they may, in the same memory not", async () => {
  const program = await compilePower(10);
  const [x, y, z] = [mean(), zeros("float32", [SIZE, SIZE]), zeros("float32", [SIZE, SIZE])];
  const first = program.run({ x, w: x }, { y });
  const second = program.run({ x, w: x }, { y: z });
  await assert.rejects(program.run({ x, w: x }, { y }), {
    name: "RangeError",
    message: /output "y" is in use/,
  });
  await assert.rejects(program.run({ x: y, w: x }, { y: zeros("float32", [SIZE, SIZE]) }), {
    name: "RangeError",
    message: /input "x" is being written/,
  });
  await assert.rejects(program.run({ x: z, w: z }, { y: x }), RangeError);
  await Promise.all([first, second]);
  assert.ok(isMean(y) && isMean(z));
  await program.run({ x: y, w: x }, { y: z });
  await program.release();
});

test("memory that a long run has had cannot be taken away", async () => {
  const program = await compilePower(10);
  const [x, y] = [mean(), zeros("float32", [SIZE, SIZE])];
  const running = program.run({ x, w: x }, { y });
  for (const { data } of [x, y]) {
    const buffer = data.buffer as ArrayBuffer;
    assert.throws(() => structuredClone(buffer, { transfer: [buffer] }));
    if ("transfer" in buffer) assert.throws(() => buffer.transfer(), TypeError);
  }
  await running;
  assert.ok(isMean(y));
  await program.release();
});

test("memory of native modules and of mapped files is read where it is", async () => {
  const { koffi } = loadKoffi();
  const folder = mkdtempSync(join(tmpdir(), "graft-native-"));
  after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "weights");
  writeFileSync(path, new Uint8Array(mean().data.buffer));
  const foreign = new Float32Array(koffi.view(koffi.alloc("float", SIZE * SIZE), 4 * SIZE * SIZE));
  const memories = [mean(foreign)];
  const descriptor = openSync(path, "r");
  const mapped = mapFile(descriptor);
  closeSync(descriptor);
  if (mapped !== null) memories.push(hostTensor("float32", [SIZE, SIZE], new Float32Array(mapped)));
  const y = zeros("float32", [SIZE, SIZE]);
  for (const memory of memories) {
    for (const constants of [{}, { w: memory }]) {
      const program = await compilePower(4, constants);
      for (let run = 0; run < 2; run++) await program.run({ x: memory, w: memory }, { y: mean(y.data) });
      assert.ok(isMean(y));
      await program.release();
    }
  }
});

test("a constant is read where it is: not a copy of it", async () => {
  const graph = new Graph();
  const [x, table] = [graph.input("x", "float32", [1]), graph.input("table", "float32", [1000])];
  const spec = { name: "sum", inputs: { x, table }, outputs: { y: add(x, table) } };
  const [memory, y] = [zeros("float32", [1000]), zeros("float32", [1000])];
  const program = await engine.compile(spec, { constants: { table: memory } });
  // Nobody may do this; here it shows where the session looks.
  memory.data[999] = 5;
  await program.run({ x: hostTensor("float32", [1], Float32Array.of(2)) }, { y });
  assert.deepEqual([y.data[0], y.data[999]], [2, 7]);
  await program.release();
});

test("programs share what they need between their nodes, and it goes with the last of them", async () => {
  const sharing = createNativeEngine({ threads: 1, shareScratch: true });
  const graph = new Graph();
  const x = graph.input("x", "float32", [4096, 1]);
  const square = matmul(x, x, { transB: true }); // 64 MB
  const outputs = { y: matmul(exp(square), x) };
  const compile = (): Promise<Program> => sharing.compile({ name: "outer", inputs: { x }, outputs });
  const [input, y] = [zeros("float32", [4096, 1]), zeros("float32", [4096, 1])];
  const heldMb = (): number => residentBytes() / 2 ** 20;
  for (let round = 0; round < 2; round++) {
    const [first, second] = [await compile(), await compile()];
    const before = heldMb();
    await first.run({ x: input }, { y });
    const one = heldMb() - before;
    await second.run({ x: input }, { y });
    const both = heldMb() - before;
    assert.ok(one > 50 && both < one + 30, `${one} MB of one, ${both} of both`);
    await first.release();
    await second.release();
    assert.ok(heldMb() - before < one / 2, `${heldMb() - before} MB are left`);
  }
});

test("the binding of onnxruntime-node is not loaded", () => {
  const { cache } = createRequire(import.meta.url);
  assert.deepEqual(
    Object.keys(cache).filter((file) => file.includes("onnxruntime-node")),
    [],
  );
});

test("an engine works in a thread that ends without a word, and outside of it afterwards", async () => {
  const file = JSON.stringify(new URL("ort-native.ts", import.meta.url).href);
  const graphs = JSON.stringify(new URL("../../graph/graph.ts", import.meta.url).href);
  const exps = JSON.stringify(new URL("../../graph/ops/pointwise/elementwise.ts", import.meta.url).href);
  const source = `
    import { parentPort } from "node:worker_threads";
    const { createNativeEngine } = await import(${file});
    const { Graph } = await import(${graphs});
    const { exp } = await import(${exps});
    const x = new Graph().input("x", "float32", [1]);
    const program = await createNativeEngine({ threads: 2 }).compile({ name: "e", inputs: { x }, outputs: { y: exp(x) } });
    const y = { dtype: "float32", shape: [1], data: new Float32Array(1) };
    await program.run({ x: { dtype: "float32", shape: [1], data: new Float32Array(1) } }, { y });
    parentPort.postMessage(y.data[0]);
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const answer = new Promise((resolve) => worker.once("message", resolve));
  const status = new Promise((resolve, reject) => worker.once("exit", resolve).once("error", reject));
  assert.equal(await status, 0);
  assert.equal(await answer, 1);
  const program = await compilePower(1);
  const y = zeros("float32", [SIZE, SIZE]);
  await program.run({ x: mean(), w: mean() }, { y });
  assert.ok(isMean(y));
  await program.release();
});
