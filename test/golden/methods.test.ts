/** @file Adapter folders that peft wrote, on a tiny model: logits, gradients, merged weights, and the folder we write. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { readAdapter, adapterFiles } from "../../src/format/adapters/adapter.ts";
import { readAdapterFolder } from "../../src/format/adapters/adapter-folder.ts";
import { writeFolderAtomic } from "../../src/format/files/atomic.ts";
import { loadModel } from "../../src/format/checkpoint/load-model.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { createOrtEngine } from "../../src/runtime/ort-node.ts";
import { batchFromRows, logitsOf, lossAndGradients, withTensors } from "../model-passes.ts";
import { temporaryFolder } from "../tiny-model.ts";
import {
  type GoldenBatch,
  assertLogits,
  assertNear,
  goldenJson,
  goldenPath,
  goldenTensors,
  relativeDifference,
} from "./golden-files.ts";

const METHOD_FOLDERS = [
  "lora",
  "lora-pattern",
  "lora-pattern-overlap",
  "lora-rslora",
  "lora-regex",
  "lora-layers",
  "lora-all-linear",
  "lora-save-head",
  "lora-embedding",
  "dora",
  "ia3",
  "road-1",
  "road-2",
  "road-4",
  "road-1-pairs",
  "vera",
];
const GRADIENT = "grad.base_model.model.";
const MERGED = "merged.";

const engine = createOrtEngine({ threads: 1 });
const CASES = [
  ...METHOD_FOLDERS.map((folder) => ["llama", folder] as const),
  ["llama-scaled", "llama-scaled/lora-save-embedding"] as const,
];

for (const [model, name] of CASES) {
  describe(`adapter ${name} of peft`, async () => {
    const { base, checkpoint } = await loadModel(goldenPath("models", model));
    after(() => checkpoint.close());
    const golden = goldenJson<{ batch: GoldenBatch; loss: number }>("methods", name, "golden.json");
    const tensors = await goldenTensors("methods", name, "golden.safetensors");
    const folder = goldenPath("methods", name, "adapter");
    const { adapter } = await readAdapter(folder, base);
    const batch = batchFromRows(golden.batch);
    const mask = golden.batch.attention_mask;
    const tensor = (key: string): Float32Array => tensors.get(key) as Float32Array;

    test("gives peft's logits", async () => {
      assertLogits(await logitsOf(engine, base, adapter, batch), tensor("logits"), mask, 5e-5);
    });

    test("gives peft's loss and gradients", async () => {
      const { loss, gradients } = await lossAndGradients(engine, base, adapter, [batch]);
      assertNear(loss, golden.loss, 5e-6, "loss");
      const expected = [...tensors].filter(([key]) => key.startsWith(GRADIENT));
      assert.deepEqual(
        [...gradients.keys()].sort(),
        expected.map(([key]) => key.slice(GRADIENT.length)).sort(),
      );
      for (const [key, gradient] of expected) {
        const own = gradients.get(key.slice(GRADIENT.length)) as Float32Array;
        const difference = relativeDifference(own, gradient);
        assert.ok(difference <= 1e-4, `${key} is ${difference} apart`);
      }
    });

    test("merges into peft's weights and logits", async () => {
      const merged = await mergeAdapter(engine, base, adapter);
      for (const [key, weight] of tensors) {
        if (!key.startsWith(MERGED)) continue;
        const own = merged.get(key.slice(MERGED.length))?.data as Float32Array;
        const difference = relativeDifference(own, weight);
        assert.ok(difference <= 1e-6, `${key} is ${difference} apart`);
      }
      const whole = await withTensors(base, merged);
      assertLogits(await logitsOf(engine, whole, null, batch), tensor("merged_logits"), mask, 5e-5);
    });

    test("comes back equal from the folder that we write, under keys that peft has", async () => {
      const path = `${temporaryFolder()}/adapter`;
      await writeFolderAtomic(path, adapterFiles(adapter, { base, checkpoint, chatTemplateHash: null }));
      const [written, original] = [await readAdapterFolder(path), await readAdapterFolder(folder)];
      const sorted = ({ tensors: all }: typeof written): typeof written.tensors =>
        new Map(
          [...all]
            // Copies of the base's matrices, which nobody needs.
            .filter(([key]) => !key.endsWith(".base_layer.weight"))
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        );
      assert.deepEqual(sorted(written), sorted(original));
      assert.ok([...written.tensors.keys()].every((key) => original.tensors.has(key)));
      const unknown = Object.keys(written.config).filter((key) => !(key in original.config));
      assert.deepEqual(unknown, []);
      for (const key of ["peft_type", "task_type", "inference_mode", "r", "lora_alpha", "use_rslora"]) {
        assert.deepEqual(written.config[key], original.config[key], key);
      }
      for (const key of [
        "rank_pattern",
        "alpha_pattern",
        "feedforward_modules",
        "modules_to_save",
        "variant",
        "group_size",
      ]) {
        assert.deepEqual(written.config[key], original.config[key], key);
      }
      const { adapter: again } = await readAdapter(path, base);
      assert.deepEqual(again.parameters, adapter.parameters);
      assert.deepEqual(again.values, adapter.values);
      assert.deepEqual(
        [...again.sites].map(([site, { options }]) => [site, options]),
        [...adapter.sites].map(([site, { options }]) => [site, options]),
      );
    });
  });
}
