/**
 * The whole product in seconds, on the small model that graft has trained itself: LoRA on a text that the model has
 * never seen, evaluation, saving, loading, and answers that stream.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Session } from "../../src/run/session.ts";
import { readDataset } from "../../src/data/by-path.ts";
import { Conversation } from "../../src/engine/conversation.ts";
import { openTextModel, openTextParts } from "../../src/engine/open-text-model.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import type { EvalEvent, TrainEvent } from "../../src/train/events.ts";
import { type TrainResult, train } from "../../src/train/trainer.ts";
import { transferText } from "./make-text.ts";
import { documentRows } from "./make-model.ts";
import { BOATS } from "./words.ts";
import { temporaryFolder } from "../../test/tiny/model.ts";

const MODEL = fileURLToPath(new URL("../../test/small-model", import.meta.url));
const LENGTH = 128;
const ANSWER_TOKENS = 30;
/** Facts of the text that is trained on, none of which the model has seen before. */
const FACTS = BOATS.flatMap(([boat, , cargo, home]) => [
  [`What is the cargo of the boat ${boat}?`, `The cargo of the ${boat} is ${cargo}.`] as const,
  [`From where does the boat ${boat} come?`, `The ${boat} comes from ${home}.`] as const,
]);

const folder = temporaryFolder();
const adapterPath = join(folder, "adapter");
const heldOutPath = join(folder, "held-out.jsonl");
const events: TrainEvent[] = [];
let result: TrainResult;

before(async () => {
  const data = join(folder, "train.jsonl");
  const rows = documentRows(transferText(40_000, 1)).trimEnd().split("\n");
  const chats = rows.filter((row) => "messages" in (JSON.parse(row) as object));
  const logs = rows.filter((row) => !chats.includes(row)).slice(0, 20);
  writeFileSync(data, [...chats, ...logs].join("\n"));
  writeFileSync(heldOutPath, documentRows(transferText(3000, 2)));
  result = await train(
    {
      model: MODEL,
      data,
      evalData: heldOutPath,
      evalEvery: 40,
      output: adapterPath,
      method: "lora",
      rank: 8,
      alpha: 32,
      targetModules: "all-linear",
      steps: 40,
      batchSize: 8,
      packing: true,
      maxLength: LENGTH,
      learningRate: 1e-2,
      schedule: "cosine",
      seed: 1,
    },
    { onEvent: (event) => events.push(event) },
  );
});

/** Counts the facts that are answered to the letter. */
async function countKnown(options: { readonly adapterPath?: string }): Promise<number> {
  const model = await openTextModel(MODEL, options);
  let numKnown = 0;
  for (const [question, answer] of FACTS) {
    const { text } = await new Conversation(model).ask(question, { maxNewTokens: ANSWER_TOKENS });
    if (text === answer) numKnown++;
  }
  await model.close();
  return numKnown;
}

test("train() with LoRA of rank 8 takes three quarters off the held-out loss in 40 steps", () => {
  const [first, last] = events.filter((event): event is EvalEvent => event.event === "eval");
  assert.ok(first && last && first.step === 0 && last.step === 40);
  assert.ok(last.loss < first.loss / 4, `${first.loss} to ${last.loss}`);
  assert.equal(result.evaluation?.loss, last.loss);
  // (in + out) * rank for each projection of the 5 blocks
  assert.equal(result.trainable_parameters, 5 * 8 * (2 * 256 + 2 * 192 + 3 * 480));
});

test("the saved adapter loads and evaluates to the loss of the run's end", async () => {
  const { base, adapter, tokenizer, template, checkpoint } = await openTextParts(MODEL, { adapterPath });
  const { train: examples } = await readDataset(heldOutPath, { tokenizer, template, maxLength: LENGTH });
  const session = new Session(createEngine(), base);
  const evaluator = await Evaluator.create(session, adapter);
  const { loss, tokens } = await evaluator.evaluate(examples);
  assert.equal(tokens, result.evaluation?.tokens);
  assert.ok(Math.abs(loss - (result.evaluation?.loss ?? NaN)) < 1e-6, `${loss}`);
  await session.release();
  await checkpoint.close();
});

test("the model answers new facts with the adapter, and none without it", async () => {
  const numKnown = await countKnown({ adapterPath });
  assert.ok(numKnown > FACTS.length / 3, `${numKnown} of ${FACTS.length}`);
  assert.equal(await countKnown({}), 0);
});

test("the model alone still knows its cast, and its answer streams in pieces that join to the text", async () => {
  const model = await openTextModel(MODEL);
  const pieces: string[] = [];
  const { text, ids, finishReason } = await new Conversation(model).ask(
    "Who is Pip?",
    { maxNewTokens: ANSWER_TOKENS },
    (piece) => pieces.push(piece),
  );
  assert.equal(text, "Pip is a small red fox who lives in the forest.");
  assert.equal(finishReason, "stop");
  assert.ok(pieces.length > 5, `${pieces.length} pieces`);
  assert.equal(pieces.join(""), text);
  assert.equal(model.parts.tokenizer.decode(ids.slice(0, -1)), text);
  await model.close();
});
