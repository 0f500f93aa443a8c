import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { dequantize } from "../../quant/stored-tensor.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { temporaryFolder } from "../../../test/tiny/model.ts";
import { writeSafetensors } from "../../../test/files/write-safetensors.ts";
import { openCheckpoint } from "../by-path.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { fromMlx } from "./mlx-folder.ts";

const root = temporaryFolder();
const RULES = {
  taps: /\.conv\.weight$/,
  plusOne: /\.norm\.weight$/,
  split: { first: "mlp.gate", second: "mlp.up", whole: "mlp.both" },
  pathOf: (path: string): string => path,
};

const counting = (...shape: number[]): HostTensor<"float32"> =>
  hostTensor(
    "float32",
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => i + 1),
  );

async function opened(name: string, tensors: Readonly<Record<string, HostTensor>>): Promise<Checkpoint> {
  const path = join(root, name);
  mkdirSync(path);
  writeFileSync(join(path, "config.json"), "{}");
  await writeSafetensors(join(path, "model.safetensors"), Object.entries(tensors));
  return await openCheckpoint(path);
}

test("matrices that were split are one, convolutions lie as they did, norms have 1 less", async () => {
  const file = await opened("mlx", {
    "b.conv.weight": counting(2, 3, 1),
    "b.norm.weight": counting(4),
    "b.mlp.gate.weight": counting(2, 3),
    "b.mlp.up.weight": counting(2, 3),
  });
  const found = fromMlx(file, RULES);
  const shapes = Object.fromEntries([...found.tensors.values()].map(({ name, shape }) => [name, shape]));
  assert.deepEqual(shapes, { "b.conv.weight": [2, 1, 3], "b.norm.weight": [4], "b.mlp.both.weight": [4, 3] });
  const valuesOf = async (name: string): Promise<number[]> => [...dequantize(await found.read(name))];
  assert.deepEqual((await found.read("b.conv.weight")).shape, [2, 1, 3]);
  assert.deepEqual(await valuesOf("b.conv.weight"), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(await valuesOf("b.norm.weight"), [0, 1, 2, 3]);
  const both = [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6];
  assert.deepEqual(await valuesOf("b.mlp.both.weight"), both);
  for (const [start, length] of [
    [0, 12],
    [3, 6],
    [0, 3],
    [9, 3],
  ] as const) {
    const part = new Float32Array(length);
    await found.readInto("b.mlp.both.weight", part, start);
    assert.deepEqual([...part], both.slice(start, start + length));
  }
  const norms = new Float32Array(4);
  await found.readInto("b.norm.weight", norms);
  assert.deepEqual([...norms], [0, 1, 2, 3]);
  for (const name of ["b.norm.weight", "b.mlp.both.weight"]) assert.equal(found.view(name), null);
  await file.close();
});

test("a folder of transformers is read as it is, and halves that do not fit stay apart", async () => {
  const own = await opened("own", { "b.conv.weight": counting(2, 1, 3), "b.norm.weight": counting(4) });
  assert.equal(fromMlx(own, RULES), own);
  assert.equal(fromMlx(own, null), own);
  await own.close();
  const unlike = await opened("unlike", {
    "b.mlp.gate.weight": counting(2, 3),
    "b.mlp.up.weight": counting(3, 2),
  });
  assert.equal(fromMlx(unlike, RULES), unlike);
  await unlike.close();
});
