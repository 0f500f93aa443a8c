/** @file A training and texts on one session: the adapter and the texts are those of each alone. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../test/tiny-model.ts";
import { train } from "../train/trainer.ts";
import { openServingModel } from "./serving-model.ts";

const root = temporaryFolder();
const path = await writeTinyModel(join(root, "model"));
const data = writeTinyChats(join(root, "chats.jsonl"), 24);
const model = await openServingModel(path, { chatTemplate: "chatml", threads: 1, cacheBytes: 4e6 });
after(() => model.close());

async function write(seed: number): Promise<string> {
  let text = "";
  const promptIds = model.encodePrompt(`ka lo ${seed}`);
  for await (const piece of model.write({ promptIds, maxNewTokens: 30, seed })) text += piece.text;
  return text;
}

const settings = {
  model: path,
  data,
  evalData: data,
  chatTemplate: "chatml",
  steps: 4,
  batchSize: 2,
  maxLength: 64,
  threads: 1,
  weights: "float32" as const,
};
const bytesOf = (run: string): Buffer => readFileSync(join(root, run, "adapter_model.safetensors"));

test("both at once are both alone", async () => {
  await train({ ...settings, output: join(root, "alone") });
  const expected = [await write(1), await write(2)];
  const turn = model.engine.turns.training();
  const losses: number[] = [];
  const training = { isOver: false };
  const trained = train(
    { ...settings, output: join(root, "beside") },
    {
      shared: { session: model.engine.session, ...turn },
      onEvent: (event) => event.event === "step" && losses.push(event.loss),
    },
  ).finally(() => {
    training.isOver = true;
    turn.rest();
  });
  let numRounds = 0;
  do {
    assert.deepEqual(await Promise.all([write(1), write(2)]), expected);
    numRounds++;
  } while (!training.isOver);
  await trained;
  assert.equal(losses.length, 4);
  assert.ok(numRounds > 1);
  assert.deepEqual(bytesOf("beside"), bytesOf("alone"));
  // The session is still there, and what was trained can be asked for.
  model.engine.adapters.register("mine", join(root, "beside"));
  for await (const _ of model.write({ promptIds: [40], maxNewTokens: 2, adapter: "mine" })) continue;
});
