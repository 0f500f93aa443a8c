/**
 * @file Greedy generation against transformers: tiny Llama models, ids and the logits that chose each; and
 * SmolLM2-135M-Instruct when it is in the cache.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/data/messages.ts";
import { Generator } from "../../src/engine/generator.ts";
import { openTextModel } from "../../src/engine/text-model.ts";
import { loadModel } from "../../src/format/checkpoint/load-model.ts";
import { entryFolder, modelInFolder, modelsFolderOf } from "../../src/hub/cache.ts";
import { DEFAULT_MODEL } from "../../src/hub/resolve.ts";
import { createOrtEngine } from "../../src/runtime/ort-node.ts";
import { assertLogits, goldenJson, goldenPath, goldenTensors } from "./golden-files.ts";

interface GenerationGolden {
  readonly generate: { readonly prompt: readonly number[]; readonly new_ids: readonly number[] };
}

for (const name of ["llama", "llama-scaled"]) {
  test(`model ${name} writes greedily what transformers writes, from the same logits`, async () => {
    const { base, checkpoint } = await loadModel(goldenPath("models", name));
    const { prompt, new_ids: expected } = goldenJson<GenerationGolden>(
      "models",
      name,
      "golden.json",
    ).generate;
    const tensors = await goldenTensors("models", name, "golden.safetensors");
    const generator = await Generator.create({
      engine: createOrtEngine({ threads: 1 }),
      base,
      adapter: null,
    });
    const logits: number[] = [];
    const { ids } = await generator.complete({
      promptIds: prompt,
      maxNewTokens: expected.length,
      onLogits: (row) => logits.push(...row),
    });
    assert.deepEqual(ids, expected);
    const flags = [expected.map(() => 1)];
    assertLogits(Float32Array.from(logits), tensors.get("generate.logits") as Float32Array, flags, 5e-5);
    await generator.release();
    await checkpoint.close();
  });
}

const entry = await modelInFolder(entryFolder(modelsFolderOf(process.env), DEFAULT_MODEL, null));
const skip = "path" in entry ? false : `${DEFAULT_MODEL} is not in the cache: ${entry.problem}`;

interface PromptsGolden {
  readonly cases: readonly {
    readonly text: string;
    readonly messages?: readonly Message[];
    readonly ids: readonly number[];
    readonly new_ids: readonly number[];
    readonly new_text: string;
  }[];
}

test("SmolLM2 goes on from prompts and chats as transformers does", { skip }, async () => {
  if (!("path" in entry)) return;
  const model = await openTextModel(entry.path);
  for (const golden of goldenJson<PromptsGolden>("smollm2", "prompts.json").cases) {
    const promptIds = golden.messages ? model.encodeChat(golden.messages) : model.encodePrompt(golden.text);
    assert.deepEqual(promptIds, golden.ids);
    // The reference goes on after a stop id, so the generator is not told of any.
    const { ids } = await model.generator.complete({ promptIds, maxNewTokens: golden.new_ids.length });
    assert.deepEqual(ids, golden.new_ids);
    assert.equal(model.parts.tokenizer.decode(ids), golden.new_text);
  }
  await model.close();
});
