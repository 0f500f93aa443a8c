/** @file A whole model whose experts are in MXFP4, as the published ones: it computes what transformers does, and what is refused. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openCheckpoint, openSafetensors } from "../../src/format/by-path.ts";
import { STORAGES } from "../../src/quant/storages.ts";
import { storedBytes } from "../../src/quant/storage.ts";
import { dequantize } from "../../src/quant/stored-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { type HostTensor, hostTensor } from "../../src/runtime/host-tensor.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { readJson } from "../files/read-json.ts";
import { writeSafetensors } from "../files/write-safetensors.ts";
import { batchFromRows, logitsOf } from "../passes/model-passes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { checkCodesModel } from "./codes-model.ts";
import { assertLogits, goldenJson, goldenPath } from "./golden-files.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });
const path = goldenPath("codes", "mxfp4-gpt_oss");
const { base, checkpoint } = await openUntilEnd(path);
const MATRIX = "model.layers.1.mlp.experts.2.gate_up_proj.weight";

test("it gives the logits of transformers, and no matrix is held", async () => {
  const { ids, logits } = goldenJson<{ readonly ids: readonly number[]; readonly logits: number[][] }>(
    "codes",
    "mxfp4-gpt_oss",
    "logits.json",
  );
  const found = await logitsOf(engine, base, null, batchFromRows({ input_ids: [ids] }));
  assertLogits(found, Float32Array.from(logits.flat()), [ids.map(() => 1)], 5e-5);
  assert.deepEqual([checkpoint.format, checkpoint.heldBytes], ["codes", 0]);
});

test("a matrix of an expert is that part of what all are in, whole and in rows", async () => {
  assert.equal(base.source.storageOf(MATRIX), "mxfp4");
  assert.equal(base.source.storageOf("model.layers.1.mlp.router.weight"), "f32");
  const stored = await checkpoint.read(MATRIX);
  assert.deepEqual(stored.shape, [64, 32]);
  assert.equal(checkpoint.tensors.get(MATRIX)?.sizeBytes, storedBytes(STORAGES.mxfp4, [64, 32]));
  const values = dequantize(stored);
  const rows = new Float32Array(96);
  await checkpoint.readInto(MATRIX, rows, 32);
  assert.deepEqual(rows, values.slice(32, 128));
});

test("its settings alone tell its sizes; an adapter sits on it, and is merged as floats that lie in stacks", async () => {
  const floats: [string, HostTensor<"float32">][] = [];
  for (const [name, { shape }] of checkpoint.tensors)
    floats.push([name, hostTensor("float32", shape, dequantize(await checkpoint.read(name)))]);
  const batch = batchFromRows({ input_ids: [[5, 9, 33, 17, 64, 2, 90, 11, 47]] });
  await checkCodesModel(engine, { base, checkpoint }, { config: checkpoint.config, floats, batch }, root);
  const file = await openSafetensors(join(root, "merged", "model.safetensors"));
  assert.deepEqual(file.tensors.get("model.layers.0.mlp.experts.gate_up_proj")?.shape, [3, 32, 64]);
  assert.equal(file.tensors.get("model.layers.0.mlp.experts.down_proj")?.fileDtype, "F32");
  await file.close();
});

test("parts that do not fit each other are refused", async () => {
  const config = readJson(join(path, "config.json"));
  const bytes = (shape: readonly number[]): HostTensor =>
    hostTensor("uint8", shape, new Uint8Array(shape.reduce((a, b) => a * b, 1)));
  const [blocks, scales] = ["mlp.experts.down_proj_blocks", "mlp.experts.down_proj_scales"] as const;
  for (const [i, [tensors, says]] of (
    [
      [{ [blocks]: bytes([2, 4, 1, 16]) }, /blocks U8 \[2, 4, 1, 16\], scales missing/],
      [{ [blocks]: bytes([2, 4, 1, 8]), [scales]: bytes([2, 4, 1]) }, /expected U8 \[experts, outputs/],
      [{ [blocks]: bytes([2, 4, 1, 16]), [scales]: bytes([2, 4, 2]) }, /scales U8 \[2, 4, 2\]/],
      [{ [blocks]: bytes([2, 0, 1, 16]), [scales]: bytes([2, 0, 1]) }, /blocks U8 \[2, 0, 1, 16\]/],
      [
        {
          [blocks]: hostTensor("float32", [1, 1, 1, 16], new Float32Array(16)),
          [scales]: bytes([1, 1, 1]),
        },
        /blocks F32/,
      ],
    ] as [Record<string, HostTensor>, RegExp][]
  ).entries()) {
    const folder = join(root, `damaged-${i}`);
    mkdirSync(folder);
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    await writeSafetensors(join(folder, "model.safetensors"), Object.entries(tensors));
    await assert.rejects(openCheckpoint(folder), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /Cannot read tensor "mlp\.experts\.down_proj"/);
      return true;
    });
  }
});
