/** @file Text parts of Mistral's models that read images too, as GGUF files, which are of one architecture and the same models. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { findDifference } from "../../src/models/same-model.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { attachTo, logitsOf, randomExamples, unpacked } from "../passes/model-passes.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });
const { rope_parameters: _, ...text } = TINY_CONFIGS["mistral3"]!["text_config"] as Record<string, unknown>;
const small = { ...text, model_type: "mistral", rope_theta: 1e9, sliding_window: null };

for (const [name, config] of [
  ["Ministral 3", {}],
  ["Mistral Small 3.1", { text_config: small }],
] as const) {
  test(`the text part of ${name} is the same model in a GGUF file`, async () => {
    const { base, checkpoint } = await openUntilEnd(
      await writeTinyModel(join(root, name), { modelType: "mistral3", config }),
    );
    const adapter = await attachTo(base, lora, {}, "all-linear");
    const path = join(root, `${name}.gguf`);
    await writeMergedModel({ engine, base, checkpoint, adapter, path, to: "gguf", kind: "f32" });
    const { base: written } = await openUntilEnd(path);
    assert.equal(findDifference(base.model, written.model), null);
    // Longer than the context from which queries grow.
    const batch = unpacked(randomExamples([40, 7]));
    assert.deepEqual(await logitsOf(engine, written, null, batch), await logitsOf(engine, base, null, batch));
  });
}
