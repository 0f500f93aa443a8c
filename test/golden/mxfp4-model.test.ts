/** @file A whole model whose experts are in MXFP4, as the published ones: it computes what transformers does, and what is refused. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { openCheckpoint, openGguf, openSafetensors } from "../../src/format/by-path.ts";
import { STORAGES } from "../../src/quant/storages.ts";
import { storedBytes } from "../../src/quant/storage.ts";
import { findDifference } from "../../src/models/same-model.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { dequantize, packStored, quantizeTo } from "../../src/quant/stored-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { type HostTensor, hostTensor } from "../../src/runtime/host-tensor.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { readJson } from "../files/read-json.ts";
import { writeSafetensors } from "../files/write-safetensors.ts";
import { attachTo, batchFromRows, logitsOf, perturb } from "../passes/model-passes.ts";
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
  const file = await openSafetensors(join(root, "merged-lora", "model.safetensors"));
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

describe("a GGUF file of it, as the gguf package writes one", async () => {
  const file = goldenPath("gguf", "gpt_oss-mxfp4.gguf");
  const inGguf = await openUntilEnd(file);

  test("it holds the same numbers in the same kinds, and gives the same logits", async () => {
    assert.equal(findDifference(base.model, inGguf.base.model), null);
    for (const [name, { shape, storage, sizeBytes }] of checkpoint.tensors) {
      const info = inGguf.checkpoint.tensors.get(name);
      assert.deepEqual([info?.shape, info?.storage, info?.sizeBytes], [shape, storage, sizeBytes], name);
      const [ours, theirs] = [await checkpoint.read(name), await inGguf.checkpoint.read(name)].map((stored) =>
        Buffer.from(packStored(stored)),
      );
      assert.ok(ours!.equals(theirs!), name);
    }
    const rows = new Float32Array(96);
    await inGguf.checkpoint.readInto(MATRIX, rows, 32);
    assert.deepEqual(rows, dequantize(await checkpoint.read(MATRIX)).slice(32, 128));
    const batch = batchFromRows({ input_ids: [[5, 9, 33, 17, 64]] });
    assert.deepEqual(
      await logitsOf(engine, inGguf.base, null, batch),
      await logitsOf(engine, base, null, batch),
    );
  });

  test("a folder is written as such a file, with the very blocks; one with an adapter keeps the kind", async () => {
    const { tokenizerFiles } = inGguf.checkpoint;
    const folder = { ...checkpoint, tokenizerFiles };
    for (const deviation of [0, 0.3]) {
      const adapter = await attachTo(base, lora, {}, "all-linear");
      if (deviation > 0) perturb(adapter, deviation);
      const written = join(root, `from-folder-${deviation}.gguf`);
      const report = await writeMergedModel({
        engine,
        base,
        checkpoint: folder,
        adapter,
        path: written,
        to: "gguf",
        kind: null,
      });
      assert.ok(report.numChanged > 0);
      const [ours, theirs] = [await openGguf(written), await openGguf(file)];
      assert.equal(ours.metadata["general.file_type"], STORAGES.mxfp4.ggufFileType);
      for (const [key, tensor] of theirs.tensors) {
        const own = ours.tensors.get(key)!;
        if (tensor.storage !== "mxfp4") continue;
        assert.deepEqual([own.shape, own.storage], [tensor.shape, "mxfp4"], key);
        const same = Buffer.from(packStored(await ours.read(own))).equals(
          packStored(await theirs.read(tensor)),
        );
        assert.equal(same, deviation === 0, key);
      }
      await Promise.all([ours.close(), theirs.close()]);
      const merged = await openUntilEnd(written);
      if (deviation === 0) {
        const batch = batchFromRows({ input_ids: [[5, 9, 33, 17, 64]] });
        const expected = await logitsOf(engine, base, null, batch);
        const found = await logitsOf(engine, merged.base, null, batch);
        // All else is in floats of 16 bits.
        for (const [i, value] of found.entries()) assert.ok(Math.abs(value - expected[i]!) < 5e-3);
        continue;
      }
      for (const [name, { shape, data }] of await mergeAdapter(engine, base, adapter)) {
        if (base.source.storageOf(name) !== "mxfp4") continue;
        const rounded = quantizeTo("mxfp4", data, shape);
        const found = await merged.checkpoint.read(name);
        assert.ok(Buffer.from(packStored(found)).equals(packStored(rounded)), name);
      }
    }
  });

  test("an adapter is merged into it, in its kinds", async () => {
    const adapter = await attachTo(inGguf.base, lora, { targetParameters: ["gate_up_proj"] }, ["q_proj"]);
    perturb(adapter, 0.3);
    const path = join(root, "merged.gguf");
    await writeMergedModel({ engine, ...inGguf, adapter, path, to: "gguf", kind: null });
    const merged = await openUntilEnd(path);
    for (const [name, { storage }] of inGguf.checkpoint.tensors) {
      assert.equal(merged.checkpoint.tensors.get(name)?.storage, storage, name);
      const [before, after] = [await inGguf.checkpoint.read(name), await merged.checkpoint.read(name)];
      const isChanged = /(gate_up_proj|q_proj)\.weight$/.test(name);
      assert.equal(Buffer.from(packStored(before)).equals(packStored(after)), !isChanged, name);
    }
  });
});
