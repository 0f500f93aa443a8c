/** @file A completion goes on with the text of its prompt, where decoders strip a space at the beginning of a text, too. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openTextModel } from "../../src/engine/open-text-model.ts";
import type { Grammar } from "../../src/engine/grammar/token-grammar.ts";
import { openServingModel } from "../../src/engine/serving-model.ts";
import { ToldText } from "../../src/server/texts/told-text.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

/** What Llama 2's tokenizer does at the end of decoding. */
const STRIP = [{ type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 0 }];
const [SPACE, EURO] = [32, [0xe2, 0x82, 0xac]];

async function makeStripping(): Promise<string> {
  const folder = await writeTinyModel(temporaryFolder());
  const path = join(folder, "tokenizer.json");
  const files = JSON.parse(readFileSync(path, "utf8")) as { decoder: object };
  files.decoder = { type: "Sequence", decoders: [files.decoder, ...STRIP] };
  writeFileSync(path, JSON.stringify(files));
  return folder;
}

/** Spaces and nothing else. */
const SPACES: Grammar = {
  begin: () => ({
    isDone: false,
    restrict: (logits) => void logits.fill(-Infinity).fill(0, SPACE, SPACE + 1),
    accept: () => {},
  }),
};

test("spaces are kept behind a prompt, in texts, stop strings and offsets, and stripped where a text begins", async () => {
  const model = await openServingModel(await makeStripping(), { name: "tiny", threads: 1, cacheBytes: 1e6 });
  const penalties = { repetition: 1, presence: 0, frequency: 0, bias: new Map([[SPACE, 1000]]) };
  const write = async (promptIds: readonly number[], asked: object): Promise<[string, string]> => {
    const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0 };
    const pieces = model.write({ promptIds, maxNewTokens: 3, sampling, penalties, ...asked });
    let text = "";
    let step = await pieces.next();
    for (; !step.done; step = await pieces.next()) text += step.value.text;
    return [text, step.value.finishReason];
  };
  const ka = model.encodePrompt("ka");
  assert.deepEqual(await write(ka, { goesOn: true }), ["   ", "length"]);
  assert.deepEqual(await write(ka, {}), ["  ", "length"]);
  assert.deepEqual(await write(ka, { goesOn: true, stop: [" "] }), ["", "stop"]);
  // Special tokens have no text, and bytes of a character that is not whole do not eat what follows.
  assert.deepEqual(await write([256], { goesOn: true }), ["  ", "length"]);
  assert.deepEqual(await write([256, ...ka, 257, EURO[0]!], { goesOn: true }), ["   ", "length"]);

  const state = { model } as ConstructorParameters<typeof ToldText>[2];
  for (const echo of [false, true]) {
    const told = new ToldText({ echo, logprobs: 0 }, { ids: ka, text: "ka", param: "prompt" }, state);
    for (let i = 0; i < 2; i++)
      told.add({
        text: " ",
        token: { id: SPACE, isStop: false, logProbs: { id: SPACE, logProb: 0, top: [] } },
      });
    const { text, logprobs } = told.take();
    assert.equal(text, echo ? "ka  " : "  ");
    const { text_offset: offsets } = logprobs as { text_offset: number[] };
    assert.deepEqual(offsets, echo ? [0, 1, 2, 3] : [0, 1]);
  }
  await model.close();
});

test("texts of the library keep the first space where they go on from a prompt", async () => {
  const model = await openTextModel(await makeStripping(), { threads: 1 });
  const promptIds = model.encodePrompt("ka");
  const request = { maxNewTokens: 3, grammar: SPACES };
  const pieces: string[] = [];
  const first = await model.write(promptIds, { ...request, goesOn: true }, (piece) => pieces.push(piece));
  assert.deepEqual([first.text, pieces.join("")], ["   ", "   "]);
  assert.equal((await model.write(promptIds, request)).text, "  ");
  const all = await model.writeAll([
    { ...request, promptIds, goesOn: true },
    { ...request, promptIds },
  ]);
  assert.deepEqual(
    all.map(({ text }) => text),
    ["   ", "  "],
  );
  await model.close();
});
