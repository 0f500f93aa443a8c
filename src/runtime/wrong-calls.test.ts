/** @file Mistakes of callers: each is refused with a typed error, and none reaches native code. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DTYPES, type DType } from "../graph/dtype.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { concat } from "../graph/ops/shapes/concat.ts";
import { exp } from "../graph/ops/pointwise/elementwise.ts";
import { matmul } from "../graph/ops/products/matmul.ts";
import type { Engine, Program } from "./engine.ts";
import { type HostTensor, type Tensors, hostTensor, zeros } from "./host-tensor.ts";
import { createNativeEngine } from "./ort/ort-native.ts";
import { createNodeEngine } from "./ort/ort-node.ts";

const ENGINES: readonly Engine[] = [createNativeEngine({ threads: 2 }), createNodeEngine({ threads: 2 })];

/** y [N, 2] = x [N, 2] · w [2, 2]. */
function product() {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N", 2]);
  const w = graph.input("w", "float32", [2, 2]);
  return { name: "product", inputs: { x, w }, outputs: { y: matmul(x, w) } };
}

/** A program whose run takes long, so that something can happen meanwhile. */
function power(size: number) {
  const graph = new Graph();
  const x = graph.input("x", "float32", [size, size]);
  let y: Value = x;
  for (let i = 0; i < 8; i++) y = matmul(y, x);
  return { name: "power", inputs: { x }, outputs: { y } };
}

/** A tensor as a caller without types could make it. */
function forged(dtype: unknown, shape: unknown, data: unknown): HostTensor {
  return { dtype, shape, data } as HostTensor;
}

function detached(tensor: HostTensor<"float32">): HostTensor {
  structuredClone(tensor.data.buffer, { transfer: [tensor.data.buffer as ArrayBuffer] });
  return tensor;
}

const x = (): HostTensor<"float32"> => hostTensor("float32", [2, 2], Float32Array.of(1, 2, 3, 4));
const good = (): { feeds: Record<string, HostTensor>; into: Record<string, HostTensor> } => ({
  feeds: { x: x(), w: x() },
  into: { y: zeros("float32", [2, 2]) },
});

/** [what is wrong, its place, the tensor, what the message says]. */
const WRONG: readonly (readonly [string, string, () => HostTensor, "RangeError" | "TypeError", RegExp])[] = [
  ["nothing", "w", () => undefined as unknown as HostTensor, "RangeError", /input "w" is not given/],
  ["no output", "y", () => undefined as unknown as HostTensor, "RangeError", /output "y" is not given/],
  ["a number", "x", () => 3 as unknown as HostTensor, "TypeError", /input "x"/],
  ["another element type", "x", () => zeros("int64", [2, 2]), "TypeError", /"x" is int64, expected float32/],
  ["another output type", "y", () => zeros("int32", [2, 2]), "TypeError", /"y" is int32, expected float32/],
  [
    "doubles under the name of floats",
    "x",
    () => forged("float32", [2, 2], new Float64Array(4)),
    "TypeError",
    /Float64Array, expected Float32Array/,
  ],
  ["a list", "x", () => forged("float32", [2, 2], [1, 2, 3, 4]), "TypeError", /expected Float32Array/],
  [
    "a buffer",
    "x",
    () => forged("float32", [2, 2], new ArrayBuffer(16)),
    "TypeError",
    /expected Float32Array/,
  ],
  ["no such type", "x", () => forged("float64", [2, 2], new Float64Array(4)), "TypeError", /float64/],
  ["too few elements", "x", () => forged("float32", [2, 2], new Float32Array(3)), "RangeError", /3 elements/],
  [
    "too short an output",
    "y",
    () => forged("float32", [2, 2], new Float32Array(1)),
    "RangeError",
    /1 elements/,
  ],
  ["a negative size", "x", () => forged("float32", [-2, -2], new Float32Array(4)), "RangeError", /\[-2/],
  ["half a size", "x", () => forged("float32", [0.5, 8], new Float32Array(4)), "RangeError", /0\.5/],
  ["no shape", "x", () => forged("float32", undefined, new Float32Array(4)), "RangeError", /shape/],
  ["fewer axes", "x", () => zeros("float32", [4]), "RangeError", /shape \[4\], expected \[N, 2\]/],
  ["another fixed size", "x", () => zeros("float32", [2, 3]), "RangeError", /\[2, 3\], expected \[N, 2\]/],
  ["another weight", "w", () => zeros("float32", [3, 2]), "RangeError", /\[3, 2\], expected \[2, 2\]/],
  [
    "more rows out than in",
    "y",
    () => zeros("float32", [3, 2]),
    "RangeError",
    /\[3, 2\], expected \[N, 2\] with N = 2/,
  ],
  [
    "fewer rows out than in",
    "y",
    () => zeros("float32", [0, 2]),
    "RangeError",
    /\[0, 2\], expected \[N, 2\] with N = 2/,
  ],
  ["a detached input", "x", () => detached(x()), "RangeError", /transferred/],
  ["a detached output", "y", () => detached(zeros("float32", [2, 2])), "RangeError", /transferred/],
  [
    "memory that can shrink",
    "y",
    () => forged("float32", [2, 2], new Float32Array(new ArrayBuffer(16, { maxByteLength: 64 }))),
    "TypeError",
    /resizable/,
  ],
];

for (const engine of ENGINES) {
  describe(`the engine ${engine.name} refuses`, () => {
    let program: Program;
    const run = async (feeds: Tensors, into: Tensors): Promise<void> => {
      program ??= await engine.compile(product());
      await program.run(feeds, into);
    };

    for (const [what, place, make, name, message] of WRONG) {
      test(`${what} as ${place}, and runs again when it is mended`, async () => {
        const call = good();
        const side = place === "y" ? call.into : call.feeds;
        const right = side[place]!;
        side[place] = make();
        await assert.rejects(run(call.feeds, call.into), { name, message });
        side[place] = right;
        await run(call.feeds, call.into);
        assert.deepEqual([...call.into["y"]!.data], [7, 10, 15, 22]);
      });
    }

    test("a tensor that was right before and is not any more", async () => {
      const { feeds, into } = good();
      await run(feeds, into);
      const { data } = feeds["x"] as HostTensor<"float32">;
      (feeds["x"] as { data: unknown }).data = new Float32Array(2);
      await assert.rejects(run(feeds, into), RangeError);
      (feeds["x"] as { data: unknown }).data = data;
      (feeds["x"] as { shape: unknown }).shape = [1, 4];
      await assert.rejects(run(feeds, into), RangeError);
      (feeds["x"] as { shape: unknown }).shape = [2, 2];
      await run(feeds, into);
      await assert.rejects(run(feeds, { y: zeros("float32", [3, 2]) }), RangeError);
    });

    test("a tensor that was known, and whose memory was taken away since", async () => {
      const { feeds, into } = good();
      const { buffer } = feeds["x"]!.data;
      // It is known from here on, and no run has had it: one on another thread would forbid to take it away.
      await assert.rejects(run(feeds, { y: zeros("float32", [3, 2]) }), RangeError);
      structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
      await assert.rejects(run(feeds, into), { name: "RangeError", message: /transferred/ });
    });

    test("a tensor whose memory was taken away after a run, or forbids to take it away", async () => {
      const { feeds, into } = good();
      await run(feeds, into);
      const { buffer } = feeds["x"]!.data;
      const isTaken = await Promise.resolve()
        .then(() => structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }))
        .then(
          () => true,
          (error: Error) => error.name !== "DataCloneError",
        );
      // Which of them is a matter of how long the run before took, after which a run is on another thread.
      if (isTaken) await assert.rejects(run(feeds, into), { name: "RangeError", message: /transferred/ });
      else await run(feeds, into);
      assert.deepEqual([...into["y"]!.data], [7, 10, 15, 22]);
    });

    test("memory that is both input and output, or two outputs", async () => {
      const { feeds, into } = good();
      await assert.rejects(run(feeds, { y: feeds["x"]! }), RangeError);
      const memory = new Float32Array(6);
      const overlapping = hostTensor("float32", [2, 2], memory.subarray(2, 6));
      await assert.rejects(
        run({ ...feeds, x: hostTensor("float32", [2, 2], memory.subarray(0, 4)) }, { y: overlapping }),
        RangeError,
      );
      const graph = new Graph();
      const a = graph.input("a", "float32", [4]);
      const two = await engine.compile({
        name: "two",
        inputs: { a },
        outputs: { b: exp(a), c: exp(exp(a)) },
      });
      const one = zeros("float32", [4]);
      await assert.rejects(two.run({ a: zeros("float32", [4]) }, { b: one, c: one }), RangeError);
      await run(feeds, into);
      await two.release();
    });

    test("neighbours in one buffer are no overlap", async () => {
      const memory = Float32Array.of(1, 2, 3, 4, 0, 0, 0, 0);
      const [a, b] = [memory.subarray(0, 4), memory.subarray(4, 8)];
      await run({ x: hostTensor("float32", [2, 2], a), w: x() }, { y: hostTensor("float32", [2, 2], b) });
      assert.deepEqual([...b], [7, 10, 15, 22]);
      const nothing = hostTensor("float32", [0, 2], a.subarray(2, 2));
      await run({ x: nothing, w: hostTensor("float32", [2, 2], a) }, { y: nothing });
    });

    test("a program that is released", async () => {
      const { feeds, into } = good();
      const released = await engine.compile(product());
      await Promise.all([released.release(), released.release()]);
      await assert.rejects(released.run(feeds, into), { name: "RangeError", message: /it is released/ });
    });

    test("release() in the middle of a run waits for it", async () => {
      const long = await engine.compile(power(300));
      const y = zeros("float32", [300, 300]);
      const input = hostTensor("float32", [300, 300], new Float32Array(90_000).fill(1 / 300));
      let isDone = false;
      const running = long.run({ x: input }, { y }).then(() => (isDone = true));
      await long.release();
      assert.equal(isDone, true);
      await running;
      assert.ok(y.data.every((value) => Math.abs(value - 1 / 300) < 1e-6));
    });

    test("wrong constants, and writing into right ones", async () => {
      const compile = (w: HostTensor): Promise<Program> => engine.compile(product(), { constants: { w } });
      await assert.rejects(compile(zeros("float32", [2, 3])), RangeError);
      await assert.rejects(compile(zeros("int32", [2, 2])), TypeError);
      await assert.rejects(compile(detached(x())), RangeError);
      const w = x();
      const bound = await compile(w);
      const { feeds, into } = good();
      await assert.rejects(bound.run({ x: feeds["x"]! }, { y: w }), RangeError);
      await assert.rejects(run(feeds, { y: w }), RangeError);
      await assert.rejects(bound.run(feeds, into), { name: "TypeError", message: /bound as a constant/ });
      assert.throws(() => structuredClone(w.data.buffer, { transfer: [w.data.buffer as ArrayBuffer] }));
      await bound.release();
      await run(feeds, { y: w });
    });

    test("sums of symbols that do not add up; sizes of zero do", async () => {
      const graph = new Graph();
      const [a, b] = [graph.input("a", "float32", ["P", 2]), graph.input("b", "float32", ["T", 2])];
      const joined = await engine.compile({
        name: "join",
        inputs: { a, b },
        outputs: { y: concat([a, b], 0) },
      });
      const of = (rows: number): HostTensor => zeros("float32", [rows, 2]);
      for (const [p, t] of [
        [0, 0],
        [0, 3],
        [2, 0],
        [2, 3],
      ] as const) {
        await joined.run({ a: of(p), b: of(t) }, { y: of(p + t) });
        await assert.rejects(joined.run({ a: of(p), b: of(t) }, { y: of(p + t + 1) }), {
          name: "RangeError",
          message: new RegExp(`expected \\[P\\+T, 2\\] with P = ${p}, T = ${t}`),
        });
      }
      await joined.release();
    });

    test("whatever else: a run fits, or is a typed error", async () => {
      program ??= await engine.compile(product());
      let numRun = 0;
      const size: fc.Arbitrary<number> = fc.oneof(fc.nat(4), fc.constantFrom(-1, 1.5, 2 ** 31, Number.NaN));
      const dtype = fc.constantFrom(...(Object.keys(DTYPES) as DType[]));
      const tensor = fc.record({
        dtype,
        held: fc.constantFrom(...Array.from({ length: 50 }, () => null), ...(Object.keys(DTYPES) as DType[])),
        shape: fc.oneof(
          { weight: 9, arbitrary: fc.constantFrom<number[]>([2, 2], [1, 2], [0, 2]) },
          { weight: 1, arbitrary: fc.array(size, { maxLength: 3 }) },
        ),
        extra: fc.constantFrom(...Array.from({ length: 18 }, () => 0), 1, -1),
        kind: fc.constantFrom(...Array.from({ length: 20 }, () => "own"), "shared", "resizable", "detached"),
        dtypeIsRight: fc.constantFrom(...Array.from({ length: 9 }, () => true), false),
      });
      const make = (t: typeof tensor extends fc.Arbitrary<infer T> ? T : never): HostTensor => {
        const name = t.dtypeIsRight ? "float32" : t.dtype;
        const { array, sizeBytes } = DTYPES[t.held ?? name];
        const wanted = t.shape.reduce((product, n) => product * n, 1) + t.extra;
        const length = Number.isSafeInteger(wanted) && wanted >= 0 && wanted < 1000 ? wanted : 4;
        const numBytes = length * sizeBytes;
        const buffer =
          t.kind === "shared"
            ? new SharedArrayBuffer(numBytes)
            : new ArrayBuffer(numBytes, t.kind === "resizable" ? { maxByteLength: 2 * numBytes } : {});
        const data = new array(buffer as ArrayBuffer);
        if (t.kind === "detached") structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
        return forged(name, t.shape, data);
      };
      await fc.assert(
        fc.asyncProperty(
          tensor,
          tensor,
          tensor,
          fc.constantFrom("none", "xw", "xy"),
          async (tx, tw, ty, same) => {
            const a = make(tx);
            const b = same === "xw" ? a : make(tw);
            const y = same === "xy" ? a : make(ty);
            try {
              await program.run({ x: a, w: b }, { y });
            } catch (error) {
              assert.ok(error instanceof RangeError || error instanceof TypeError, String(error));
              return;
            }
            numRun++;
            assert.deepEqual([a.shape[1], b.shape, y.shape], [2, [2, 2], a.shape]);
            assert.ok(y.data.every((value) => value === 0));
          },
        ),
        { numRuns: 500 },
      );
      assert.ok(numRun > 0);
    });
  });
}
