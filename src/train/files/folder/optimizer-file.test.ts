/** @file The optimizer's state in a file: whole, in the layout of earlier versions, and refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { writeFolderAtomic } from "../../../format/files/atomic.ts";
import { openSafetensors } from "../../../format/by-path.ts";
import type { GroupState } from "../../../optim/updater.ts";
import { makeParameters } from "../../../peft/parameters.ts";
import { type HostTensor, hostTensor, zeros } from "../../../runtime/host-tensor.ts";
import { PartedVector, evenEnds } from "../../../runtime/memory/parted-vector.ts";
import { RESIDENT } from "../../../runtime/memory/vector-memory.ts";
import { temporaryFolder } from "../../../../test/tiny/model.ts";
import { writeSafetensors } from "../../../../test/files/write-safetensors.ts";
import { OPTIMIZER_FILE, optimizerFile, readOptimizer } from "./optimizer-file.ts";

const folder = temporaryFolder();
const trained = makeParameters({
  trainedBase: [
    { name: "embed", layer: null, path: "embed", shape: [2], role: "embedding" },
    { name: "layers.0.a", layer: 0, path: "a", shape: [2, 2], role: "weight" },
    { name: "layers.0.b", layer: 0, path: "b", shape: [1], role: "weight" },
  ],
  sites: new Map(),
});

function stateOf(value: (i: number) => number, steps: readonly number[][]): GroupState[] {
  let i = 0;
  return trained.groups.map(({ values }, group) => ({
    slots: { m: vectorOf(values.map(() => value(i++))), v: vectorOf(values.map(() => value(i++))) },
    steps: [...steps[group]!],
  }));
}

/** In parts of two elements, into which no parameter's stretch fits whole. */
function vectorOf(values: Float32Array): PartedVector {
  const vector = new PartedVector(RESIDENT, { name: "slot" }, values.length, evenEnds(values.length, 2));
  for (const { part, start } of vector.stretches()) part.set(values.subarray(start, start + part.length));
  return vector;
}

const NOTHING = [[0, 0], [0]];

/** Reads a file of so many steps onto a state of zeros. */
async function readFresh(path: string, steps: number): Promise<GroupState[]> {
  const read = stateOf(() => 0, NOTHING);
  await readOptimizer(path, trained, read, steps);
  return read;
}

test("state and counts of updates come back, by the names of the parameters", async () => {
  const state = stateOf((i) => i / 8, [[3, 1], [2]]);
  await writeFolderAtomic(`${folder}/new`, [optimizerFile(trained, state)]);
  const path = `${folder}/new/${OPTIMIZER_FILE}`;
  const file = await openSafetensors(path);
  assert.deepEqual(file.tensors.get("state.m.layers.0.a")?.shape, [2, 2]);
  assert.deepEqual((await file.read("step.layers.0.a")).data, BigInt64Array.of(3n));
  assert.equal(file.tensors.size, 9);
  await file.close();
  const read = stateOf(() => 7, NOTHING);
  await readOptimizer(path, trained, read, 5);
  assert.deepEqual(read, state);
});

test("a vector a slot in the order of the adapter, as earlier versions wrote it, is read after as many steps", async () => {
  const path = `${folder}/old.safetensors`;
  const vector = (from: number) =>
    hostTensor(
      "float32",
      [7],
      Float32Array.from({ length: 7 }, (_, i) => from + i),
    );
  await writeSafetensors(path, [
    ["m", vector(0)],
    ["v", vector(10)],
  ]);
  assert.deepEqual(await readFresh(path, 5), [
    {
      slots: {
        m: vectorOf(Float32Array.of(2, 3, 4, 5, 6)),
        v: vectorOf(Float32Array.of(12, 13, 14, 15, 16)),
      },
      steps: [5, 5],
    },
    { slots: { m: vectorOf(Float32Array.of(0, 1)), v: vectorOf(Float32Array.of(10, 11)) }, steps: [5] },
  ]);
});

test("the state of other parameters is refused", async () => {
  const path = `${folder}/other.safetensors`;
  const refused = (message: RegExp) => ({ code: "format/tensor", message });
  await writeSafetensors(path, [["m", zeros("float32", [6])]]);
  await assert.rejects(
    readFresh(path, 1),
    refused(/Cannot read optimizer state "v" of .*: not there, expected it/),
  );
  await writeSafetensors(path, [["state.m.layers.0.b", zeros("float32", [1])]]);
  await assert.rejects(readFresh(path, 1), refused(/"step\.layers\.0\.a" of .*: not there, expected it/));
  const vector = (length: number): [string, HostTensor][] => [
    ["m", zeros("float32", [length])],
    ["v", zeros("float32", [length])],
  ];
  await writeSafetensors(path, vector(6));
  await assert.rejects(readFresh(path, 1), refused(/"m" of .*: F32 \[6\], expected float32 \[7\]/));
});

test("slots of another name, size, shape or type, surplus ones and impossible counts are refused", async () => {
  const path = `${folder}/edited/${OPTIMIZER_FILE}`;
  await writeFolderAtomic(`${folder}/edited`, [
    optimizerFile(
      trained,
      stateOf(() => 1, [[2, 2], [2]]),
    ),
  ]);
  const file = await openSafetensors(path);
  const whole = new Map<string, HostTensor>();
  for (const name of file.tensors.keys()) whole.set(name, await file.read(name));
  await file.close();
  const int = (value: bigint, shape: number[] = []): HostTensor =>
    hostTensor("int64", shape, BigInt64Array.from(shape.includes(0) ? [] : [value]));
  const edits: Record<string, HostTensor> = {
    "state.m.layers.0.a": zeros("float32", [4]),
    "state.v.layers.0.b": zeros("float32", [2]),
    "state.v.embed": zeros("float16", [2]),
    "state.m.other": zeros("float32", [2]),
    "step.embed": int(3n),
    "step.layers.0.a": int(-1n),
    "step.layers.0.b": int(1n, [0]),
  };
  for (const [name, tensor] of Object.entries(edits)) {
    await writeSafetensors(path, new Map([...whole, [name, tensor]]));
    await assert.rejects(
      readFresh(path, 2),
      (error: Error) =>
        error.message.includes(`"${name}"`) && "code" in error && error.code === "format/tensor",
    );
  }
  await writeSafetensors(path, whole);
  await readFresh(path, 2);
});
