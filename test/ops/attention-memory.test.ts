/**
 * @file What attention and its gradient hold of a long row's scores: those of one chunk of queries at a time, never all.
 * ONNX Runtime's profile says what each node wrote, the system how far the process grew meanwhile.
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gradients } from "../../src/graph/autodiff.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { attend } from "../../src/graph/ops/attention/attention.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { temporaryFolder } from "../tiny/model.ts";

const [H, K, T, E] = [4, 2, 2048, 8];
const CHUNK_LENGTH = 128;
/** Of all queries over all keys. */
const NUM_SCORES = H * T * T;

interface ProfiledNode {
  readonly cat: string;
  readonly args: { readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[] };
}

/** Runs attention and its gradient by chunks; the elements of the largest value of any node, and bytes that the process grew. */
async function run(softcap: number | null): Promise<{ numLargest: number; growthBytes: number }> {
  const graph = new Graph();
  const heads = { query: [1, H, T, E], key: [1, K, T, E], value: [1, K, T, E] };
  const [query, key, value] = Object.entries(heads).map(([name, shape]) =>
    graph.input(name, "float32", shape),
  ) as [Value, Value, Value];
  const [segments, positions] = ["segments", "positions"].map((name) =>
    graph.input(name, "int32", [1, T]),
  ) as [Value, Value];
  const chunk = { length: CHUNK_LENGTH, count: T / CHUNK_LENGTH };
  const output = attend([query, key, value, segments, positions, segments, positions], {
    scale: 0.3,
    softcap,
    causal: true,
    window: null,
    chunk,
  });
  const seed = graph.input("seed", "float32", [1, T, H * E]);
  const [dQuery, dKey, dValue] = gradients([{ value: output, gradient: seed }], [query, key, value]);
  const folder = temporaryFolder();
  const engine = createEngine({ threads: 1, profilePrefix: join(folder, "profile") });
  const spec = {
    name: "attention",
    inputs: { query, key, value, segments, positions, seed },
    outputs: { output, dQuery: dQuery!, dKey: dKey!, dValue: dValue! },
  };
  const random = new Random(1);
  const normal = (shape: readonly number[]): ReturnType<typeof hostTensor> =>
    hostTensor(
      "float32",
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()),
    );
  const feeds = {
    ...Object.fromEntries(Object.entries(heads).map(([name, shape]) => [name, normal(shape)])),
    seed: normal([1, T, H * E]),
    segments: hostTensor("int32", [1, T], new Int32Array(T).fill(1)),
    positions: hostTensor(
      "int32",
      [1, T],
      Int32Array.from({ length: T }, (_, t) => t),
    ),
  };
  const into = Object.fromEntries(
    Object.entries(spec.outputs).map(([name, { shape }]) => [name, zeros("float32", shape as number[])]),
  );
  const program = await engine.compile(spec);
  const before = beginPeak();
  await program.run(feeds, into);
  const growthBytes = peakBytes() - before;
  await program.release();
  const [file] = readdirSync(folder);
  const events = JSON.parse(readFileSync(join(folder, file!), "utf8")) as readonly ProfiledNode[];
  const sizes = events.flatMap(({ cat, args }) =>
    cat === "Node" ? (args.output_type_shape ?? []).flatMap((value) => Object.values(value)) : [],
  );
  assert.ok(sizes.length > 10 * chunk.count, "the profile tells what nodes write");
  return { numLargest: Math.max(...sizes.map((shape) => shape.reduce((a, b) => a * b, 1))), growthBytes };
}

function statusBytes(key: string): number {
  const [, kilobytes] = new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(
    readFileSync("/proc/self/status", "utf8"),
  )!;
  return 1024 * Number(kilobytes);
}

/** Lets the peak begin anew; bytes that the process has now. */
function beginPeak(): number {
  writeFileSync("/proc/self/clear_refs", "5");
  return statusBytes("VmRSS");
}

const peakBytes = (): number => statusBytes("VmHWM");

const skip = process.platform === "linux" ? false : "the peak is read from Linux's /proc";

for (const softcap of [null, 20]) {
  test(
    `attention holds the scores of one chunk, ${softcap === null ? "plain" : "capped"}`,
    { skip },
    async () => {
      const { numLargest, growthBytes } = await run(softcap);
      const ofChunk = (NUM_SCORES * CHUNK_LENGTH) / T;
      assert.ok(numLargest <= ofChunk, `a node wrote ${numLargest} elements, a chunk has ${ofChunk} scores`);
      // Some values of a chunk's size are alive at once, and what is read and written lies beside them.
      const mostBytes = 0.7 * 4 * NUM_SCORES;
      assert.ok(growthBytes < mostBytes, `${growthBytes} bytes more, expected less than ${mostBytes}`);
    },
  );
}
