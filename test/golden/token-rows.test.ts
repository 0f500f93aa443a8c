/** @file Adapters of peft that train single rows of the embedding: read, run and merged as peft computes them. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { loadModel, readAdapter } from "../../src/format/by-path.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { batchFromRows, logitsOf } from "../passes/model-passes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { assertLogits, goldenJson, goldenPath, goldenTensors } from "./golden-files.ts";

const engine = createEngine({ threads: 1 });
const root = temporaryFolder();
const batches = goldenJson<Record<string, { model: string; ids: readonly (readonly number[])[] }>>(
  "token-rows",
  "batches.json",
);
const allLogits = await goldenTensors("token-rows", "logits.safetensors");

for (const [name, { model, ids }] of Object.entries(batches)) {
  describe(`single rows beside LoRA, ${name}`, () => {
    const mask = ids.map((row) => row.map(() => 1));
    const batch = batchFromRows({ input_ids: ids, attention_mask: mask, labels: ids });
    const expected = allLogits.get(name) as Float32Array;

    test("gives the logits of peft, also merged into the model", async () => {
      const { base, checkpoint } = await loadModel(goldenPath("models", model));
      const { adapter } = await readAdapter(goldenPath("token-rows", name), base);
      assert.match(base.takeNotes().join(), /trained 3 rows of model\.embed_tokens/);
      assertLogits(await logitsOf(engine, base, adapter, batch), expected, mask, 1e-5);
      const path = join(root, name);
      await writeMergedModel({ engine, base, checkpoint, adapter, path, to: "hf", kind: null });
      await checkpoint.close();
      const merged = await loadModel(path);
      assertLogits(await logitsOf(engine, merged.base, null, batch), expected, mask, 1e-4);
      await merged.checkpoint.close();
    });

    test("is refused where its rows are not those that it names, or that the model has", async () => {
      const path = join(root, `${name}-damaged`);
      cpSync(goldenPath("token-rows", name), path, { recursive: true });
      const file = join(path, "adapter_config.json");
      const config = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
      const { base, checkpoint } = await loadModel(goldenPath("models", model));
      for (const indices of [[3, 17], [3, 17, 1_000_000], { lm_head: [3, 17, 40] }]) {
        writeFileSync(file, JSON.stringify({ ...config, trainable_token_indices: indices }));
        await assert.rejects(readAdapter(path, base), { code: "format/tensor" });
      }
      writeFileSync(file, JSON.stringify({ ...config, trainable_token_indices: "all" }));
      await assert.rejects(readAdapter(path, base), { code: "usage/adapter" });
      await checkpoint.close();
    });
  });
}
