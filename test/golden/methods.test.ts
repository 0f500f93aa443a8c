/** @file Adapter folders that peft wrote, on tiny models: logits, gradients, merged weights, and the folder we write. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { after, describe, test } from "node:test";
import { readAdapter, readAdapterFolder } from "../../src/format/by-path.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { batchFromRows, logitsOf, lossAndGradients, withTensors } from "../passes/model-passes.ts";
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
import { type GoldenModel, openGoldenModel } from "./golden-model.ts";
import { saveAdapter } from "../files/save-adapter.ts";

/**
 * An adapter on an embedding that is the head's matrix too acts on the look-up alone. Merging, peft changes both; graft
 * gives the head a matrix of its own, so that merging changes nothing.
 */
const ON_TIED_EMBEDDING = new Set(["gemma3_text/lora-embedding"]);

const GRADIENT = "grad.base_model.model.";
/** Our name of a gradient: for peft a module lies inside of what is put on it. */
const ownName = (key: string): string => key.slice(GRADIENT.length).replace(".base_layer.", ".");
const MERGED = "merged.";
const TIED_HEAD = "merged.lm_head.weight";

const engine = sharePrograms(createEngine({ threads: 1 }));
const isCase = (name: string): boolean => existsSync(goldenPath("methods", name, "golden.json"));
/** Models and folders of `methods/`: those of llama stand there directly, the others below its name. */
const CASES = readdirSync(goldenPath("methods")).flatMap((name) =>
  isCase(name)
    ? [{ model: "llama", name }]
    : readdirSync(goldenPath("methods", name)).map((method) => ({ model: name, name: `${name}/${method}` })),
);

for (const { model, name } of CASES) {
  describe(`adapter ${name} of peft`, async () => {
    const golden = goldenJson<{ batch: GoldenBatch; loss: number }>("methods", name, "golden.json");
    const tensors = await goldenTensors("methods", name, "golden.safetensors");
    const folder = goldenPath("methods", name, "adapter");
    const batch = batchFromRows(golden.batch);
    const mask = golden.batch.attention_mask;
    const tensor = (key: string): Float32Array => tensors.get(key)!;
    // Opened by the first test that needs it: what is not known fails tests, not the file.
    let opened: Promise<GoldenModel> | null = null;
    const open = async (): Promise<GoldenModel & { readonly adapter: Adapter }> => {
      const whole = await (opened ??= openGoldenModel(engine, model));
      return { ...whole, ...(await readAdapter(folder, whole.base)) };
    };
    after(async () => (await opened?.catch(() => null))?.checkpoint.close());

    test("gives peft's logits", async () => {
      const { base, adapter } = await open();
      assertLogits(await logitsOf(engine, base, adapter, batch), tensor("logits"), mask, 5e-5);
    });

    test("gives peft's loss and gradients", async () => {
      const { base, adapter } = await open();
      const { loss, gradients } = await lossAndGradients(engine, base, adapter, [batch]);
      assertNear(loss, golden.loss, 5e-6, "loss");
      const expected = [...tensors].filter(([key]) => key.startsWith(GRADIENT));
      const nameHere = (key: string): string => base.model.checkpoint.rename(ownName(key));
      assert.deepEqual([...gradients.keys()].sort(), expected.map(([key]) => nameHere(key)).sort());
      for (const [key, gradient] of expected) {
        assertRelative(gradients.get(nameHere(key))!, gradient, 1e-4, key);
      }
    });

    test("merges into peft's weights and logits", async () => {
      const { base, adapter } = await open();
      const isTied = ON_TIED_EMBEDDING.has(name);
      const merged = await mergeAdapter(engine, base, adapter);
      for (const [key, weight] of tensors) {
        if (!key.startsWith(MERGED) || (isTied && key === TIED_HEAD)) continue;
        assertRelative(merged.get(key.slice(MERGED.length))!.data, weight, 1e-6, key);
      }
      const whole = await withTensors(base, merged);
      const expected = tensor(isTied ? "logits" : "merged_logits");
      assertLogits(await logitsOf(engine, whole, null, batch), expected, mask, 5e-5);
    });

    test("comes back equal from the folder that we write, under keys that peft has", async () => {
      const { base, checkpoint, adapter } = await open();
      const path = `${temporaryFolder()}/adapter`;
      await saveAdapter(path, adapter, { base, checkpoint });
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
      for (const [key, unless] of [
        ["fan_in_fan_out", false],
        ["bias", "none"],
        ["lora_bias", false],
      ] as const) {
        assert.deepEqual(written.config[key] ?? unless, original.config[key] ?? unless, key);
      }
      const { adapter: again } = await readAdapter(path, base);
      const numbersOf = ({ parameters }: typeof adapter) =>
        parameters.map(({ name, shape, value }) => [name, shape, value.data]);
      assert.deepEqual(numbersOf(again), numbersOf(adapter));
      assert.deepEqual(
        [...again.sites].map(([site, { options }]) => [site, options]),
        [...adapter.sites].map(([site, { options }]) => [site, options]),
      );
    });
  });
}
