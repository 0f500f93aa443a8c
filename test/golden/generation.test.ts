/** @file Greedy generation of SmolLM2-135M-Instruct against transformers, when it is in the cache. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../src/data/rows/messages.ts";
import { openTextModel } from "../../src/engine/open-text-model.ts";
import { entryFolder, modelInFolder, modelsFolderOf } from "../../src/hub/models-folder.ts";
import { DEFAULT_MODEL } from "../../src/hub/resolve.ts";
import { goldenJson } from "./golden-files.ts";

const entry = await modelInFolder(entryFolder(modelsFolderOf(process.env), DEFAULT_MODEL, null));
const skip = "path" in entry ? false : `${DEFAULT_MODEL} is not in the cache: ${entry.reason}`;

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
