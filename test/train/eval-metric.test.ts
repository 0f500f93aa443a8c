/** @file Runs whose best checkpoint is chosen by another number than the loss, and the numbers by themselves. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { loadModel } from "../../src/format/by-path.ts";
import { factsOf, labelledPositions } from "../../src/data/batches/pass-facts.ts";
import { NO_ADAPTER } from "../../src/peft/adapter-view.ts";
import { ForwardPass } from "../../src/run/forward-pass.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import type { EvalEvent } from "../../src/train/events.ts";
import { unitsToBatch } from "../../src/train/step/micro-batch.ts";
import { randomExamples } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, runTiny } from "./tiny-run.ts";
import { readJson } from "../files/read-json.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const SETTINGS = {
  model,
  data: writeTinyChats(`${folder}/chats.jsonl`, 12),
  evalData: writeTinyChats(`${folder}/held-out.jsonl`, 4, 2),
  evalEvery: 1,
  learningRate: 0.1,
  schedule: "constant",
  steps: 10,
} as const;

describe("the best checkpoint", () => {
  test("is that with the most right tokens, also after a stop; the run ends early by it", async () => {
    const settings = { ...SETTINGS, evalMetric: "token-accuracy", earlyStopping: 4, saveEvery: 1 } as const;
    const output = `${folder}/accuracy`;
    const { events, result } = await runTiny({ ...settings, output });
    const told = events.filter((event): event is EvalEvent => event.event === "eval");
    const values = told.map((event) => event.token_accuracy ?? Number.NaN);
    const best = values.indexOf(Math.max(...values));
    const state = readJson(`${output}/trainer_state.json`);
    assert.deepEqual([state["best_global_step"], state["best_metric"]], [best, values[best]]);
    assert.deepEqual([result.result_step, result.held_out_loss], [best, told[best]?.loss]);
    assert.ok(values[best]! > values[0]!, `accuracies ${values.join()}`);
    const name = "adapter_model.safetensors";
    assert.ok(bytesOf(output, name).equals(bytesOf(output, `checkpoint-${best}`, name)));
    assert.match(readFileSync(`${output}/report.html`, "utf8"), /best token-accuracy 0\.\d+, after step/);

    const [parts, stop] = [`${folder}/parts`, new AbortController()];
    const onEvent = (event: { readonly event: string; readonly step?: number }): void => {
      if (event.event === "step" && event.step === 2) stop.abort();
    };
    await assert.rejects(runTiny({ ...settings, output: parts }, { signal: stop.signal, onEvent }));
    const resumed = await runTiny({ ...settings, output: parts, resume: true });
    assert.equal(resumed.result.result_step, best);
    assert.ok(bytesOf(parts, name).equals(bytesOf(output, name)));
    await assert.rejects(runTiny({ ...SETTINGS, output: parts, resume: true }), { code: "usage/resume" });
  });

  test("is the result wherever a metric is named, and needs held-out data that the objective can tell it of", async () => {
    // Of what is in no row, so that it gets less likely from the start.
    const evalData = `${folder}/unlike.jsonl`;
    writeFileSync(evalData, JSON.stringify({ prompt: "hi", completion: "~^~^~^~^" }));
    const { result } = await runTiny({
      ...SETTINGS,
      evalData,
      output: `${folder}/loss`,
      evalMetric: "loss",
    });
    assert.ok(result.steps === 10 && result.result_step < 10, `result of step ${result.result_step}`);
    const { evalData: _none, ...without } = SETTINGS;
    await assert.rejects(runTiny({ ...without, output: `${folder}/none`, evalMetric: "loss" }), {
      message: /Cannot keep the best checkpoint: there is no held-out data/,
    });
    await assert.rejects(runTiny({ ...SETTINGS, output: `${folder}/f1`, evalMetric: "macro-f1" }), {
      message: /expected one of loss, perplexity, token-accuracy/,
    });
  });
});

test("token accuracy is that of the largest logits, position by position", async () => {
  const { base, checkpoint } = await loadModel(model);
  const session = new Session(createEngine({ threads: 1 }), base);
  const units = randomExamples([9, 6, 12], 3);
  const { metrics } = await (
    await Evaluator.create(session, null)
  ).evaluate(units, { withPredictions: true });
  let [right, all] = [0, 0];
  const pass = await ForwardPass.create(session, NO_ADAPTER);
  for (const unit of units) {
    const batch = unitsToBatch([unit]);
    const { indexes, labels } = labelledPositions(batch);
    await pass.run(batch.input, factsOf(batch), async (x) => {
      for (const [i, index] of indexes.entries()) {
        const row = x.data.slice(index * x.shape[2]!, (index + 1) * x.shape[2]!);
        const logits = [...(await pass.head.logits(hostTensor("float32", [1, row.length], row))).data];
        all++;
        if (logits.indexOf(Math.max(...logits)) === labels[i]) right++;
      }
    });
  }
  assert.ok(Math.abs(metrics["token_accuracy"]! - right / all) < 1e-6, `${right} of ${all}`);
  await session.release();
  await checkpoint.close();
});
