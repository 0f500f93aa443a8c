/** @file Adapters of peft that train single rows of the embedding and of the head: read, run and merged as peft computes them. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { combineAdapters } from "../../src/export/combined/combine.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { loadModel, openSafetensors, readAdapter } from "../../src/format/by-path.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { mergedModel } from "../../src/peft/merged-model.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { batchFromRows, logitsOf, lossAndGradients, trainSteps } from "../passes/model-passes.ts";
import { saveAdapter } from "../files/save-adapter.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { temporaryFolder } from "../tiny/model.ts";
import {
  type GoldenBatch,
  assertLogits,
  assertNear,
  assertRelative,
  goldenJson,
  goldenPath,
  goldenTensors,
} from "./golden-files.ts";
import { readJson } from "../files/read-json.ts";

/** The names of the tensors of a file. */
async function namesIn(path: string): Promise<readonly string[]> {
  const file = await openSafetensors(path);
  await file.close();
  return [...file.tensors.keys()].sort();
}

const engine = sharePrograms(createEngine({ threads: 1 }));
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
    const expected = allLogits.get(name)!;

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
      const config = readJson(file);
      const { base, checkpoint } = await loadModel(goldenPath("models", model));
      const hasBoth = name.startsWith("both");
      for (const [indices, code, message] of [
        [[3, 17], "usage/adapter", /embed_tokens\S+ is \[3, 32\], expected \[2, 32\]/],
        [{ embed_tokens: [3, 17] }, "usage/adapter", /embed_tokens\S+ is \[3, 32\], expected \[2, 32\]/],
        [[3, 17, 1_000_000], "usage/target-modules", /no token 1000000/],
        [
          { norm: [3, 17] },
          "usage/target-modules",
          /"norm" is not a token embedding, expected embed_tokens or/,
        ],
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

describe("single rows and nothing else, as peft's TRAINABLE_TOKENS", async () => {
  const ofType = ["token-rows", "tokens"] as const;
  const expected = await goldenTensors(...ofType, "logits.safetensors");
  for (const [name, { model, ids }] of Object.entries(
    goldenJson<typeof batches>(...ofType, "batches.json"),
  )) {
    test(`${name}: gives the logits of peft, also merged, and comes back from a folder of that type`, async () => {
      const mask = ids.map((row) => row.map(() => 1));
      const batch = batchFromRows({ input_ids: ids, attention_mask: mask, labels: ids });
      const logits = expected.get(name)!;
      const { base, checkpoint } = await loadModel(goldenPath("models", model));
      const folder = goldenPath(...ofType, name);
      const { adapter } = await readAdapter(folder, base);
      assert.equal(adapter.sites.size, 0);
      assertLogits(await logitsOf(engine, base, adapter, batch), logits, mask, 1e-5);
      const merged = await mergedModel(engine, base, adapter);
      assertLogits(await logitsOf(engine, merged.model, null, batch), logits, mask, 1e-5);
      await merged.release();
      const path = await saveAdapter(join(root, `tokens-${name}`), adapter, { base, checkpoint });
      const own = goldenJson<Record<string, unknown>>(...ofType, name, "adapter_config.json");
      const written = JSON.parse(readFileSync(join(path, "adapter_config.json"), "utf8")) as typeof own;
      for (const key of ["peft_type", "token_indices", "init_weights", "task_type"])
        assert.deepEqual(written[key], own[key], key);
      const file = "adapter_model.safetensors";
      const [ours, theirs] = await Promise.all([namesIn(join(path, file)), namesIn(join(folder, file))]);
      assert.deepEqual(ours, theirs);
      const { adapter: again } = await readAdapter(path, base);
      assert.deepEqual(valuesOf(again), valuesOf(adapter));
      await checkpoint.close();
    });
  }

  test("is refused where a table, a token or rows are not there, and in sums", async () => {
    const path = join(root, "tokens-damaged");
    cpSync(goldenPath(...ofType, "own"), path, { recursive: true });
    const config = goldenJson<object>(...ofType, "own", "adapter_config.json");
    const { base, checkpoint } = await loadModel(goldenPath("models", "llama"));
    const tensors = join(path, "adapter_model.safetensors");
    const bytes = readFileSync(tensors, "latin1");
    for (const [changes, module, code, message] of [
      [{ token_indices: [3, 17] }, "", "usage/adapter", /is \[3, 32\], expected \[2, 32\]/],
      [{ token_indices: [3, 17, 96] }, "", "usage/target-modules", /no token 96/],
      [{ token_indices: null }, "", "usage/adapter", /trainableTokenIndices/],
      [{}, "embed_tokenz", "usage/target-modules", /"model.embed_tokenz" is not a token embedding/],
    ] as const) {
      writeFileSync(join(path, "adapter_config.json"), JSON.stringify({ ...config, ...changes }));
      writeFileSync(tensors, module === "" ? bytes : bytes.replace("embed_tokens", module), "latin1");
      await assert.rejects(readAdapter(path, base), { code, message });
    }
    await checkpoint.close();
    const adapters = { a: goldenPath(...ofType, "own") };
    await assert.rejects(combineAdapters({ expression: "2*a", adapters }), {
      code: "usage/combine",
      message: /rows of single tokens/,
    });
  });
});

interface Training {
  readonly model: string;
  readonly tied: boolean;
  readonly batch: GoldenBatch;
  readonly losses: readonly number[];
}

for (const [name, { model, tied, batch: rows, losses }] of Object.entries(
  goldenJson<Record<string, Training>>("token-rows", "training", "golden.json"),
)) {
  describe(`training single rows, ${name.startsWith("alone") ? "alone" : "beside LoRA"}, as peft does, ${name}, ${tied ? "" : "not "}tied`, async () => {
    const folder = ["token-rows", "training", name] as const;
    const batch = batchFromRows(rows);
    const golden = await goldenTensors(...folder, "golden.safetensors");
    const { base, checkpoint } = await loadModel(goldenPath("models", model));
    after(() => checkpoint.close());
    const read = async (): Promise<Adapter> => (await readAdapter(goldenPath(...folder), base)).adapter;

    test("gives its logits, its loss and its gradients", async () => {
      const adapter = await read();
      assert.equal(base.model.ties.size > 0, tied);
      const logits = golden.get("logits")!;
      assertLogits(await logitsOf(engine, base, adapter, batch), logits, rows.attention_mask, 1e-5);
      const { loss, gradients } = await lossAndGradients(engine, base, adapter, [batch]);
      assertNear(loss, losses[0]!, 2e-6, "loss");
      assert.equal(gradients.size, [...golden.keys()].filter((key) => key.startsWith("grad.")).length);
      for (const [parameter, gradient] of gradients) {
        assertRelative(gradient, golden.get(`grad.${parameter}`)!, 2e-5, `gradient of ${parameter}`);
      }
    });

    test("makes its three steps of AdamW", async () => {
      const adapter = await read();
      const how = { learningRate: 0.01, weightDecay: 0.1 };
      const own = await trainSteps(engine, base, adapter, [batch, batch, batch], how);
      for (const [step, loss] of losses.entries()) assertNear(own[step]!, loss, 5e-6, `loss of step ${step}`);
      for (const { name: parameter, value } of adapter.parameters) {
        assertRelative(value.data, golden.get(`final.${parameter}`)!, 1e-4, parameter);
      }
    });
  });
}
