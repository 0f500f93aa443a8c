/** @file Adapters of peft that train single rows of the embedding and of the head: read, run and merged as peft computes them. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { loadModel, readAdapter } from "../../src/format/by-path.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { batchFromRows, logitsOf, lossAndGradients, trainSteps } from "../passes/model-passes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import {
  type GoldenBatch,
  assertLogits,
  assertNear,
  goldenJson,
  goldenPath,
  goldenTensors,
  relativeDifference,
} from "./golden-files.ts";

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
      assert.deepEqual(base.takeNotes(), []);
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
      const hasBoth = name.startsWith("both");
      for (const [indices, code, message] of [
        [[3, 17], "usage/adapter", /embed_tokens\S+ is \[3, 32\], expected \[2, 32\]/],
        [{ embed_tokens: [3, 17] }, "usage/adapter", /embed_tokens\S+ is \[3, 32\], expected \[2, 32\]/],
        [[3, 17, 1_000_000], "usage/target-modules", /no token 1000000/],
        [{ norm: [3, 17] }, "usage/target-modules", /"norm" is no table of tokens, expected embed_tokens or/],
        [{ lm_head: [3, 17, 40] }, hasBoth ? "usage/adapter" : "format/tensor", /lm_head/],
        ["all", "usage/adapter", /trainableTokenIndices/],
      ] as const) {
        writeFileSync(file, JSON.stringify({ ...config, trainable_token_indices: indices }));
        await assert.rejects(readAdapter(path, base), { code, message });
      }
      await checkpoint.close();
    });
  });
}

interface Training {
  readonly model: string;
  readonly tied: boolean;
  readonly batch: GoldenBatch;
  readonly losses: readonly number[];
}

for (const [name, { model, tied, batch: rows, losses }] of Object.entries(
  goldenJson<Record<string, Training>>("token-rows", "training", "golden.json"),
)) {
  describe(`training single rows beside LoRA as peft does, ${name}, ${tied ? "" : "not "}tied`, async () => {
    const folder = ["token-rows", "training", name] as const;
    const batch = batchFromRows(rows);
    const golden = await goldenTensors(...folder, "golden.safetensors");
    const { base, checkpoint } = await loadModel(goldenPath("models", model));
    after(() => checkpoint.close());
    const read = async (): Promise<Adapter> => (await readAdapter(goldenPath(...folder), base)).adapter;

    test("gives its logits, its loss and its gradients", async () => {
      const adapter = await read();
      assert.equal(base.model.ties.size > 0, tied);
      const logits = golden.get("logits") as Float32Array;
      assertLogits(await logitsOf(engine, base, adapter, batch), logits, rows.attention_mask, 1e-5);
      const { loss, gradients } = await lossAndGradients(engine, base, adapter, [batch]);
      assertNear(loss, losses[0]!, 2e-6, "loss");
      assert.equal(gradients.size, [...golden.keys()].filter((key) => key.startsWith("grad.")).length);
      for (const [parameter, gradient] of gradients) {
        const difference = relativeDifference(gradient, golden.get(`grad.${parameter}`) as Float32Array);
        assert.ok(difference <= 2e-5, `gradient of ${parameter} is ${difference} apart`);
      }
    });

    test("makes its three steps of AdamW", async () => {
      const adapter = await read();
      const how = { numSteps: 3, learningRate: 0.01, weightDecay: 0.1 };
      const own = await trainSteps(engine, base, adapter, batch, how);
      for (const [step, loss] of losses.entries()) assertNear(own[step]!, loss, 5e-6, `loss of step ${step}`);
      for (const { name: parameter, value } of adapter.parameters) {
        const difference = relativeDifference(value.data, golden.get(`final.${parameter}`) as Float32Array);
        assert.ok(difference <= 1e-4, `${parameter} is ${difference} apart`);
      }
    });
  });
}
