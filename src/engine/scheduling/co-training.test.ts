/** @file A training and texts on one base: the adapter and the texts are those of each alone. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../../test/tiny/model.ts";
import { train } from "../../train/trainer.ts";
import type { SharedModel } from "../../train/train-hooks.ts";
import { type OpenServingOptions, type ServingModel, openServingModel } from "../serving-model.ts";
import type { TrainingTurns } from "./turns.ts";

const root = temporaryFolder();
const path = await writeTinyModel(join(root, "model"));
const data = writeTinyChats(join(root, "chats.jsonl"), 24);
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
await train({ ...settings, output: join(root, "alone") });
const bytesOf = (run: string): Buffer => readFileSync(join(root, run, "adapter_model.safetensors"));

const open = (more: Partial<OpenServingOptions> = {}): Promise<ServingModel> =>
  openServingModel(path, { chatTemplate: "chatml", threads: 1, cacheBytes: 4e6, ...more });

async function write(model: ServingModel, seed: number, maxNewTokens = 30): Promise<string> {
  let text = "";
  const promptIds = model.encodePrompt(`ka lo ${seed}`);
  for await (const piece of model.write({ promptIds, maxNewTokens, seed })) text += piece.text;
  return text;
}

/** Trains on the model, and has `work` done again and again meanwhile; tells how often. */
async function trainBeside(
  model: ServingModel,
  run: string,
  work: () => Promise<void>,
  turn: TrainingTurns = model.engine.turns.training(),
): Promise<number> {
  const shared: SharedModel = { session: model.trainingSession, ...turn };
  const training = { isOver: false };
  const trained = train({ ...settings, output: join(root, run) }, { shared }).finally(() => {
    training.isOver = true;
    turn.rest();
  });
  let numRounds = 0;
  for (; !training.isOver; numRounds++) await work();
  await trained;
  return numRounds;
}

for (const compute of ["f32", "direct"] as const) {
  test(`a training in float32 and texts in ${compute} at once are each alone`, async () => {
    const model = await open({ compute, trainCompute: "f32" });
    try {
      assert.equal(model.trainingSession === model.engine.session, compute === "f32");
      const both = (): Promise<string[]> => Promise.all([write(model, 1), write(model, 2)]);
      const expected = await both();
      assert.deepEqual(expected, [await write(model, 1), await write(model, 2)]);
      const run = `beside-${compute}`;
      const numRounds = await trainBeside(model, run, async () => assert.deepEqual(await both(), expected));
      assert.ok(numRounds > 1);
      assert.deepEqual(bytesOf(run), bytesOf("alone"));
      // The sessions are still there, and what was trained can be asked for.
      model.engine.adapters.register("mine", join(root, run));
      for await (const _ of model.write({ promptIds: [40], maxNewTokens: 2, adapter: "mine" })) continue;
    } finally {
      await model.close();
    }
  });
}

test("a text whose tokens are due waits for one block of a training at a time", async () => {
  const targets = { queueMs: 1e-3, firstTokenMs: 1e-3, tokenMs: 1e-3 };
  const model = await open({ targets });
  try {
    const { engine } = model;
    const turn = engine.turns.training();
    /** Blocks in a row that began while a text waited. */
    let numHeld = 0;
    let [mostHeld, steps] = [0, 0];
    const betweenBlocks = async (): Promise<void> => {
      await turn.betweenBlocks();
      const { numRunning, numSteps } = engine.stats;
      numHeld = numRunning === 0 ? 0 : numSteps === steps ? numHeld + 1 : 1;
      steps = numSteps;
      mostHeld = Math.max(mostHeld, numHeld);
    };
    // So long that the training comes to its least share in the middle of a text.
    const work = async (): Promise<void> => void (await write(model, 1, 200));
    await trainBeside(model, "held", work, { ...turn, betweenBlocks });
    assert.equal(mostHeld, 1);
  } finally {
    await model.close();
  }
});
