/** @file A steady training step allocates no tensor but its batch, and the process does not grow over 200 steps of changing lengths. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { Session } from "../../src/run/session.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { fineTune } from "../../src/train/loop/fine-tune.ts";
import { Random } from "../../src/random.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { findCollector } from "../../src/runtime/memory/find-collector.ts";
import { StepRunner } from "../../src/train/step/step-runner.ts";
import { openAdamw } from "../passes/adamw.ts";
import { accumulateLoss, attachTo, randomExamples, unpacked } from "../passes/model-passes.ts";
import { watchRuns } from "../passes/watched-runs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { countArrays } from "./count-arrays.ts";
import { requestFor } from "./fine-tune-request.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const NUM_STEPS = 200;
const WARMUP_STEPS = 100;
const MAX_GROWTH_BYTES = 12e6;

/** Wraps an engine so that every buffer that a program writes into for the first time is counted. */
function countingBuffers(engine: Engine): { engine: Engine; numNew: () => number } {
  const seen = new WeakSet<ArrayBufferLike>();
  let numNew = 0;
  const watched = watchRuns(engine, (_spec, _feeds, into) => {
    for (const { data } of Object.values(into)) {
      if (!seen.has(data.buffer)) numNew++;
      seen.add(data.buffer);
    }
  });
  return { engine: watched, numNew: () => numNew };
}

for (const recompute of [false, true]) {
  test(`200 steps with activations ${recompute ? "computed again" : "kept"} allocate no tensor after the first ${WARMUP_STEPS}`, async () => {
    // The part of the heap for young objects grows to 16 MB at a moment of its own choosing.
    setFlagsFromString("--semi-space-growth-factor=1");
    const collect = findCollector()!;
    const { base } = await openUntilEnd(await writeTinyModel(`${temporaryFolder()}/model`));
    const { engine, numNew } = countingBuffers(createEngine({ threads: 1 }));
    const adapter = await attachTo(base, lora, { dropout: 0.1 });
    const session = new Session(engine, base);
    const steps = await StepRunner.create({ session, adapter, recompute, seed: 1 });
    const adamw = await openAdamw(engine, adapter);
    const random = new Random(6);
    let [buffers, rssBytes] = [0, 0];
    for (let step = 0; step < NUM_STEPS; step++) {
      if (step === WARMUP_STEPS) {
        collect();
        [buffers, rssBytes] = [numNew(), process.memoryUsage().rss];
      }
      const longest = 8 * (1 + random.integer(12));
      const batch = unpacked(randomExamples([longest, longest - 3], step));
      steps.gradients.begin();
      const lossSum = await accumulateLoss(steps, batch, 0.5 / batch.numLabels, step, 0);
      await accumulateLoss(steps, batch, 0.5 / batch.numLabels, step, 1);
      steps.gradients.finish();
      assert.ok(Number.isFinite(lossSum) && (await steps.gradients.norm()) > 0);
      await adamw.step(steps.gradients.groups, { learningRate: 1e-3 });
    }
    collect();
    const growth = process.memoryUsage().rss - rssBytes;
    await steps.release();
    await session.release();
    await adamw.release();

    assert.ok(buffers > 0);
    assert.equal(numNew() - buffers, 0, "new output buffers");
    assert.ok(growth < MAX_GROWTH_BYTES, `the process grew by ${growth} bytes`);
  });
}

/** Lay out what a step reads. */
const BATCH = ["data/batches/batch.ts"];
/** Make vectors of a number for each label: positions, log-probabilities, what an objective makes of them. */
const OF_LABELS = [
  "data/batches/pass-facts.ts",
  "train/step/step-runner.ts",
  "train/step/objective-step.ts",
  "train/losses/mean-log-loss.ts",
];
const MAX_NUMBERS_PER_LABEL = 8;

for (const [modelType, method] of [
  ["llama", "lora"],
  ["gemma2", "full"],
  ["qwen3_moe", "lora"],
] as const) {
  test(`steps 3 to 6 of ${method} on ${modelType} make no array but their batches and a few numbers a label, and the pool does not grow`, async () => {
    const { base } = await openUntilEnd(await writeTinyModel(`${temporaryFolder()}/model`, { modelType }));
    const session = new Session(createEngine({ threads: 1 }), base);
    const adapter = await attachTo(base, findMethod(method));
    const examples = randomExamples([9, 9]);
    const numLabels = unpacked(examples).numLabels;
    const run = fineTune({
      ...requestFor(session, adapter),
      // Of one length: other lengths take other memory the first time that they come.
      plan: { numRows: 6, stepsPerEpoch: 3, microBatches: () => [examples.map((example) => [example])] },
      evaluation: null,
      totalSteps: 7,
    });
    for (let step = 1; step <= 2; step++) await run.next();
    const poolBytes = session.pool.allocatedBytes;
    const found = await countArrays(async () => {
      for (let step = 3; step <= 6; step++) assert.equal((await run.next()).done, false);
    });
    assert.equal(session.pool.allocatedBytes, poolBytes, "the pool grew");
    const bytes = (files: readonly string[]): number =>
      files.reduce((sum, file) => sum + (found.get(file) ?? 0), 0);
    assert.ok(bytes(BATCH) > 0, "nothing was counted");
    const most = 4 * numLabels * MAX_NUMBERS_PER_LABEL * Float32Array.BYTES_PER_ELEMENT;
    assert.ok(bytes(OF_LABELS) <= most, `${bytes(OF_LABELS)} bytes for labels, expected at most ${most}`);
    const others = [...found].filter(([file]) => ![...BATCH, ...OF_LABELS].includes(file));
    assert.deepEqual(others, []);
    await run.return(undefined as never);
    await session.release();
  });
}
