/** Folders of models with one matrix for embedding and head, kept under the head's name, as some tools save them. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";

import { readParts } from "../../src/engine/opening/model-parts.ts";
import { openTextModel } from "../../src/engine/open-text-model.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { loadModel, writeModel } from "../../src/format/by-path.ts";
import { openModel } from "../../src/models/families.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { train } from "../../src/train/trainer.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { temporaryFolder, tinyModelParts, writeTinyChats } from "../tiny/model.ts";

const folder = temporaryFolder();
const TIED = { tie_word_embeddings: true };

/** Writes a tied model with its shared matrix under the embedding's name, or under the head's. */
async function writeTied(name: string, modelType: string, underHead: boolean): Promise<string> {
  const { config, tensors } = tinyModelParts({ modelType, config: TIED });
  if (underHead) {
    for (const [head, embedding] of openModel(config).ties) {
      tensors.set(head, tensors.get(embedding)!);
      tensors.delete(embedding);
    }
  }
  const path = `${folder}/${name}`;
  await writeModel(path, { config, generationConfig: null, tokenizerFiles: byteTokenizerFiles(), tensors });
  return path;
}

/** Families whose models can have one matrix for both. */
const FAMILIES = Object.keys(TINY_CONFIGS).filter(
  (modelType) =>
    "vocab_size" in TINY_CONFIGS[modelType]! &&
    openModel({ ...TINY_CONFIGS[modelType], ...TIED }).ties.size > 0,
);

test("a head that is trained becomes a matrix of its own, wherever a configuration ties it", () => {
  const places = [
    TIED,
    { tie_embedding: true },
    { tie_embedding: true, tie_word_embeddings: false },
    { text_config: TIED },
    { ...TIED, text_config: TIED },
    { tie_word_embeddings: false, text_config: TIED },
  ];
  let tied = 0;
  for (const [modelType, config] of Object.entries(TINY_CONFIGS)) {
    if (!("vocab_size" in config) && !("text_config" in config)) continue;
    for (const { text_config: inner, ...outer } of places as { text_config?: object }[]) {
      const text = config["text_config"] as object | undefined;
      if ("tie_embedding" in outer && !modelType.startsWith("lfm2")) continue;
      if (inner !== undefined && text === undefined) continue;
      const nested = inner && { text_config: { ...text, ...inner } };
      const model = openModel({ ...config, ...outer, ...nested });
      if (model.ties.size === 0) continue;
      tied++;
      assert.equal(model.untied().ties.size, 0, modelType);
      const own = model.checkpoint.untiedConfig(model.checkpoint.ownConfig(model.raw));
      assert.equal(openModel(own).ties.size, 0, modelType);
    }
  }
  assert.ok(tied > 80, String(tied));
});

test("a folder that keeps the shared matrix under the head's name alone loads as one that keeps the embedding", async () => {
  assert.ok(FAMILIES.length > 5);
  for (const modelType of FAMILIES) {
    const path = await writeTied(`load-${modelType}`, modelType, true);
    const { base, checkpoint } = await loadModel(path);
    for (const [head, embedding] of base.model.ties) {
      assert.deepEqual(
        await base.values(embedding),
        tinyModelParts({ modelType, config: TIED }).tensors.get(embedding),
      );
      assert.deepEqual(await base.values(head), await base.values(embedding));
    }
    await checkpoint.close();
  }
});

test("such a model writes, is trained, and is merged into a folder and a GGUF file", async () => {
  const [head, plain] = [await writeTied("head", "llama", true), await writeTied("plain", "llama", false)];
  const write = async (path: string, adapterPath?: string): Promise<readonly number[]> => {
    const model = await openTextModel(path, adapterPath === undefined ? {} : { adapterPath });
    const { ids } = await model.write(model.encodePrompt("ka lo mi"), { maxNewTokens: 8 });
    await model.close();
    return ids;
  };
  assert.deepEqual(await write(head), await write(plain));

  const data = writeTinyChats(`${folder}/chats.jsonl`, 4);
  const output = `${folder}/adapter`;
  await train({ model: head, data, output, steps: 2, learningRate: 0.02, targetModules: "all-linear" });
  const trained = await write(head, output);
  const parts = await loadModel(head);
  const { adapter } = await readParts(parts.checkpoint, { adapterPath: output });
  for (const [to, path] of [
    ["hf", `${folder}/merged`],
    ["gguf", `${folder}/merged.gguf`],
  ] as const) {
    const request = {
      engine: createEngine(),
      ...parts,
      adapter: adapter!,
      kind: to === "gguf" ? ("f32" as const) : null,
    };
    await writeMergedModel({ ...request, path, to });
    assert.ok(existsSync(path));
    assert.deepEqual(await write(path), trained);
  }
  await parts.checkpoint.close();
});
