/** @file A run that is given no learning rate takes a suitable one, says so in its folder, and goes on with it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse, stringify } from "yaml";
import { suitableLearningRate } from "../../src/train/settings/learning-rate.ts";
import { train } from "../../src/train/trainer.ts";
import { findMethod } from "../../src/peft/methods.ts";
import type { StepEvent } from "../../src/train/events.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { loadModel } from "../../src/format/by-path.ts";

const folder = temporaryFolder();

test("rate and warm-up follow method and length, are saved, and are kept on --resume", async () => {
  const model = await writeTinyModel(join(folder, "model"));
  const data = writeTinyChats(join(folder, "chats.jsonl"), 12);
  const output = join(folder, "out");
  const input = { model, data, output, steps: 40, batchSize: 2, maxLength: 32, threads: 1, saveEvery: 39 };
  const ratesOf = async (more: object): Promise<number[]> => {
    const steps: StepEvent[] = [];
    await train({ ...input, ...more }, { onEvent: (event) => event.event === "step" && steps.push(event) });
    return steps.map((event) => event.learning_rate);
  };
  const rates = await ratesOf({});
  const { base, checkpoint } = await loadModel(model);
  await checkpoint.close();
  const peak = suitableLearningRate({
    method: findMethod("lora"),
    methodOptions: findMethod("lora").options.parse({}),
    optimizer: { rateFactor: 1 },
    objective: { rateFactor: 1 },
    width: base.model.width,
  });
  assert.equal(Math.max(...rates), peak);
  assert.deepEqual(rates.slice(0, 3), [0, peak / 2, peak]);
  const path = join(output, "config.yaml");
  const saved = parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  assert.deepEqual([saved["learningRate"], saved["warmupSteps"]], [peak, 2]);

  // What the folder says counts, not what would suit a new run: another rate than the checkpoint's is refused.
  writeFileSync(path, stringify({ ...saved, learningRate: peak / 7 }));
  await assert.rejects(ratesOf({ resume: true }), /learningRate was .*, is /);
  writeFileSync(path, stringify(saved));
  await ratesOf({ resume: true });
});
