/** @file The loop: accumulation, evaluation, early stopping, kept checkpoints, a loss that is no number, what is written. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { type Disk, disk, withDisk } from "../../src/format/files/disk/calls.ts";
import { loadModel, readAdapter, openSafetensors } from "../../src/format/by-path.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { EvalEvent, StepEvent, TrainEvent } from "../../src/train/events.ts";
import { readDataset } from "../../src/data/by-path.ts";
import { openTextTools } from "../../src/data/chat/text-tools.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, lossesOf, runTiny } from "./tiny-run.ts";
import { jsonLines, readJson } from "../files/read-json.ts";
import { evaluatedLoss } from "../passes/model-passes.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const data = writeTinyChats(`${folder}/chats.jsonl`, 16);
const heldOut = writeTinyChats(`${folder}/held-out.jsonl`, 6, 2);
const SETTINGS = { model, data, learningRate: 0.01, schedule: "constant", seed: 1 };

async function adapterValues(path: string): Promise<number[]> {
  const file = await openSafetensors(`${path}/adapter_model.safetensors`);
  const values: number[] = [];
  for (const name of file.tensors.keys()) values.push(...((await file.read(name)).data as Float32Array));
  await file.close();
  return values;
}

describe("the training loop", () => {
  test("a disk that takes the result but no report has the result, and is told of the rest", async () => {
    const output = `${folder}/no-report`;
    const own = disk();
    const open: Disk["open"] = async (path, ...rest) => {
      if (!String(path).includes("report.html")) return await own.open(path, ...rest);
      throw Object.assign(new Error("full"), { code: "ENOSPC", syscall: "open" });
    };
    const run = (): ReturnType<typeof runTiny> => runTiny({ ...SETTINGS, output });
    const { events } = await withDisk({ ...own, open }, run);
    assert.equal(events.at(-1)?.event, "done");
    const notes = events.flatMap((event) => (event.event === "note" ? [event.message] : []));
    assert.match(notes.join("\n"), /Cannot write file ".*report\.html": ENOSPC/);
    assert.ok((await adapterValues(output)).length > 0);
    assert.ok(existsSync(`${output}/loss.svg`) && !existsSync(`${output}/report.html`));
  });

  test("one batch of eight, two of four and eight of one train alike", async () => {
    const runs = await Promise.all(
      [
        [8, 1],
        [4, 2],
        [1, 8],
      ].map(async ([batchSize, gradientAccumulationSteps]) => {
        const output = `${folder}/accumulate-${batchSize}`;
        const settings = {
          ...SETTINGS,
          batchSize,
          gradientAccumulationSteps,
          steps: 4,
          learningRate: 1e-3,
          output,
        };
        const { events } = await runTiny(settings);
        return { losses: lossesOf(events), values: await adapterValues(output) };
      }),
    );
    const [first, ...others] = runs;
    assert.ok(first);
    for (const { losses, values } of others) {
      losses.forEach((loss, i) => assert.ok(Math.abs(loss - first.losses[i]!) < 1e-5, `${loss}`));
      const worst = Math.max(...values.map((v, i) => Math.abs(v - first.values[i]!)));
      assert.ok(worst < 1e-5, `adapters are ${worst} apart`);
    }
  });

  test("training lowers the loss, on packed rows as well", async () => {
    for (const packing of [false, true]) {
      const output = `${folder}/learn-${packing}`;
      const { events } = await runTiny({ ...SETTINGS, packing, steps: 30, batchSize: 4, output });
      const losses = lossesOf(events);
      const [start, end] = [losses[0]!, losses.at(-1)!];
      assert.ok(end < start - 1, `loss ${start} to ${end}`);
    }
  });

  test("it tells steps, evaluations and the end, and writes all that a run leaves", async () => {
    const output = `${folder}/told`;
    const { events, result } = await runTiny({ ...SETTINGS, evalData: heldOut, evalEvery: 2, output });
    assert.deepEqual(
      events.map((event) => ("step" in event ? `${event.event} ${event.step}` : event.event)),
      [
        "start",
        "eval 0",
        "step 1",
        "step 2",
        "eval 2",
        "step 3",
        "step 4",
        "eval 4",
        "step 5",
        "step 6",
        "eval 6",
        "done",
      ],
    );
    const step = events.find((event): event is StepEvent => event.event === "step")!;
    assert.ok(step.loss > 0 && step.grad_norm > 0 && step.tokens > 0 && step.tokens_per_second > 0);
    assert.ok(step.peak_mb > 50);
    assert.equal(step.learning_rate, 0.01);
    const evaluation = events.findLast((event): event is EvalEvent => event.event === "eval")!;
    assert.ok(Math.abs(Math.exp(evaluation.loss) - (evaluation.perplexity ?? NaN)) < 1e-9);
    assert.equal(result.evaluation?.loss, evaluation.loss);
    assert.deepEqual(readdirSync(output).sort(), [
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
      "checkpoint-6",
      "config.yaml",
      "log.jsonl",
      "loss.svg",
      "report.html",
      "trainer_state.json",
    ]);
    const config = parse(readFileSync(`${output}/config.yaml`, "utf8")) as Record<string, unknown>;
    assert.equal(config["learningRate"], 0.01);
    assert.deepEqual(
      jsonLines(readFileSync(`${output}/log.jsonl`, "utf8")),
      events.filter((event) => event.event === "step" || event.event === "eval"),
    );
    assert.match(readFileSync(`${output}/loss.svg`, "utf8"), /^<svg/);
    const report = readFileSync(`${output}/report.html`, "utf8");
    assert.ok(
      report.includes(`→ ${evaluation.loss.toFixed(4)}`) && report.includes("npx graft chat"),
      report,
    );
    // Settings that nobody gave took effect too.
    for (const own of [
      /alpha<\/th>\s*<td>16</,
      /beta1<\/th>\s*<td>0\.9</,
      /objective<\/th>\s*<td>cross-entropy</,
    ]) {
      assert.match(report, own);
    }

    // The held-out loss of the result, loaded again, is the one that the run told.
    const { base, checkpoint } = await loadModel(model);
    const { adapter } = await readAdapter(output, base);
    const { tokenizer, template } = openTextTools(model, checkpoint.tokenizerFiles);
    const { train: examples } = await readDataset(heldOut, { tokenizer, template, maxLength: 64 });
    const found = await evaluatedLoss(createEngine({ threads: 1 }), base, adapter, examples);
    assert.equal(found, evaluation.loss);
    await checkpoint.close();
  });

  test("early stopping ends the run and leaves the best", async () => {
    const output = `${folder}/early`;
    const settings = { ...SETTINGS, evalData: heldOut, evalEvery: 1, earlyStopping: 2, output };
    // Far too large a rate: the held-out loss soon only rises.
    const { events, result } = await runTiny({ ...settings, learningRate: 0.5, steps: 40 });
    const losses = events.flatMap((event) => (event.event === "eval" ? [event.loss] : []));
    const best = losses.indexOf(Math.min(...losses));
    assert.ok(result.steps < 40, "it did not stop");
    assert.equal(result.steps, best + 2);
    assert.ok(
      bytesOf(output, "adapter_model.safetensors").equals(
        bytesOf(output, `checkpoint-${best}`, "adapter_model.safetensors"),
      ),
    );
    const state = readJson(`${output}/trainer_state.json`);
    assert.equal(state["best_global_step"], best);
    assert.equal(state["best_metric"], losses[best]);
  });

  test("it keeps the newest checkpoints and the best", async () => {
    const output = `${folder}/kept`;
    await runTiny({ ...SETTINGS, output, saveEvery: 1, keepLast: 2, steps: 5 });
    const names = readdirSync(output).filter((name) => name.startsWith("checkpoint-"));
    assert.deepEqual(names.sort(), ["checkpoint-4", "checkpoint-5"]);
    assert.deepEqual(readdirSync(`${output}/checkpoint-5`).sort(), [
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
      "manifest.json",
      "optimizer.safetensors",
      "trainer_state.json",
    ]);
    assert.ok(
      bytesOf(output, "checkpoint-5", "adapter_model.safetensors").equals(
        bytesOf(output, "adapter_model.safetensors"),
      ),
    );
  });

  test("a loss that is no number stops the run; the last good checkpoint stays, and it is named", async () => {
    const output = `${folder}/nan`;
    const settings = { ...SETTINGS, learningRate: 1e30, warmupSteps: 2, saveEvery: 1, steps: 8, output };
    await assert.rejects(runTiny(settings), (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, "train/nan");
      assert.match(error.message, /^Cannot continue training: .*(NaN|Infinity).* in step \d+$/);
      const named = /newest checkpoint is "(.+)"\.$/.exec(error.hint)![1]!;
      assert.ok(existsSync(`${named}/adapter_model.safetensors`), error.hint);
      return true;
    });
    assert.ok(!existsSync(`${output}/adapter_model.safetensors`), "a result was written");
    for (const name of readdirSync(output).filter((entry) => entry.startsWith("checkpoint-"))) {
      for (const value of await adapterValues(`${output}/${name}`)) assert.ok(Number.isFinite(value), name);
    }
  });

  test("a parameter that is no number after the last step is not saved as a result", async () => {
    const output = `${folder}/overflow`;
    const settings = { ...SETTINGS, learningRate: 1e39, evalData: heldOut, steps: 1, output };
    await assert.rejects(runTiny(settings), (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, "train/nan");
      assert.doesNotMatch(error.hint, /checkpoint/);
      return true;
    });
    assert.deepEqual(readdirSync(output).sort(), ["config.yaml", "log.jsonl"]);
  });

  test("finite parameters by which the loss is no number are neither a checkpoint nor a result, without held-out data too", async () => {
    const output = `${folder}/finite`;
    // A warm-up begins at 0: nothing moves in the first step.
    const settings = { ...SETTINGS, learningRate: 1.5e19, warmupSteps: 1, schedule: "constant", output };
    for (const steps of [2, 3]) {
      await assert.rejects(runTiny({ ...settings, steps, saveEvery: 1, overwrite: steps === 3 }), {
        code: "train/nan",
        message: "Cannot continue training: the loss is NaN after the parameters moved in step 2",
        hint: /newest checkpoint is ".*checkpoint-1"\.$/,
      });
      assert.deepEqual(readdirSync(output).sort(), ["checkpoint-1", "config.yaml", "log.jsonl"]);
    }
  });

  test("nor are they a checkpoint where a signal stops the run", async () => {
    const output = `${folder}/finite-stopped`;
    const settings = { ...SETTINGS, learningRate: 1.5e19, warmupSteps: 1, schedule: "constant", output };
    const stop = new AbortController();
    const onEvent = (event: TrainEvent): void => {
      if (event.event === "step" && event.step === 2) stop.abort();
    };
    await assert.rejects(runTiny({ ...settings, steps: 8 }, { signal: stop.signal, onEvent }), {
      code: "train/nan",
      message: "Cannot continue training: the loss is NaN after the parameters moved in step 2",
    });
    assert.deepEqual(readdirSync(output).sort(), ["config.yaml", "log.jsonl"]);
  });

  test("evaluations that are asked for without held-out data are told to change nothing", async () => {
    const notesOf = async (more: object): Promise<string[]> => {
      const settings = { ...SETTINGS, steps: 1, output: `${folder}/idle`, overwrite: true, ...more };
      const { events } = await runTiny(settings);
      return events.flatMap((event) => (event.event === "note" ? event.message : []));
    };
    const [note] = await notesOf({ evalEvery: 2 });
    assert.match(note ?? "", /^Evaluations every 2 steps have no effect here: there is no held-out data/);
    assert.deepEqual(await notesOf({ evalEvery: 2, evalData: heldOut }), []);
    assert.deepEqual(await notesOf({}), []);
  });

  test("a step whose examples weigh nothing may move nothing, all steps of an epoch may not", async () => {
    const judged = `${folder}/judged.jsonl`;
    const row = (i: number): object => ({ prompt: `ka ${i}`, completion: " lo", label: i < 2 });
    writeFileSync(judged, Array.from({ length: 4 }, (_, i) => `${JSON.stringify(row(i))}\n`).join(""));
    const output = `${folder}/weightless`;
    const settings = {
      ...SETTINGS,
      data: judged,
      objective: "kto",
      shuffle: false,
      desirableWeight: 0,
      output,
    };
    const { events } = await runTiny({ ...settings, steps: 2 });
    const norms = events.flatMap((event) => (event.event === "step" ? [event.grad_norm] : []));
    assert.equal(norms[0], 0);
    assert.ok(norms[1]! > 0);
    await assert.rejects(runTiny({ ...settings, undesirableWeight: 0, steps: 4, overwrite: true }), {
      code: "train/no-movement",
      message: /no parameter moved in step 2, gradient norm 0/,
      hint: /other options for the objective/,
    });
  });

  test("parameters that do not move end the run, after a warm-up too", async () => {
    for (const warmupSteps of [0, 1]) {
      const output = `${folder}/still-${warmupSteps}`;
      // The vectors of this method stand at 1, and 1 - 1e-9 is 1 in float32.
      const settings = {
        ...SETTINGS,
        method: "ia3",
        rank: undefined,
        learningRate: 1e-9,
        warmupSteps,
        output,
      };
      await assert.rejects(runTiny(settings), {
        code: "train/no-movement",
        message: new RegExp(`no parameter moved in step ${warmupSteps + 1}, gradient norm \\d`),
        hint: /learning rate/,
      });
      assert.deepEqual(readdirSync(output).sort(), ["config.yaml", "log.jsonl"]);
    }
  });

  test("a run that has moved goes on with a step too small to move anything, as one that was not stopped", async () => {
    // The last of four linear steps is 2.5e-8 long, and 1 - 2.5e-8 is 1 in float32.
    const settings = {
      ...SETTINGS,
      method: "ia3",
      rank: undefined,
      learningRate: 1e-7,
      schedule: "linear",
      warmupSteps: 0,
      steps: 4,
    };
    const [whole, output] = [`${folder}/small-whole`, `${folder}/small-resumed`];
    await runTiny({ ...settings, output: whole });
    const stop = new AbortController();
    const onEvent = (event: TrainEvent): void => {
      if (event.event === "step" && event.step === 3) stop.abort();
    };
    await assert.rejects(runTiny({ ...settings, output }, { signal: stop.signal, onEvent }), {
      code: "train/stopped",
    });
    await runTiny({ ...settings, output, resume: true });
    assert.deepEqual(await adapterValues(output), await adapterValues(whole));
  });

  test("text is trained in windows in the order of the file when it is not shuffled", async () => {
    const text = `${folder}/text.txt`;
    writeFileSync(text, "abcdefgh".repeat(20));
    const output = `${folder}/windows`;
    const { events } = await runTiny({
      ...SETTINGS,
      data: text,
      maxLength: 16,
      shuffle: false,
      steps: 5,
      output,
    });
    const tokens = events.flatMap((event) => (event.event === "step" ? [event.tokens] : []));
    assert.deepEqual(tokens, [32, 32, 32, 32, 32]);
    const { base, checkpoint } = await loadModel(model);
    const { tokenizer, template } = openTextTools(model, checkpoint.tokenizerFiles);
    const { train: examples } = await readDataset(text, { tokenizer, template, maxLength: 16 });
    assert.equal(examples.length, 10);
    const loss = await evaluatedLoss(createEngine({ threads: 1 }), base, null, examples.slice(0, 2));
    assert.ok(Math.abs(loss - lossesOf(events)[0]!) < 1e-6);
    await checkpoint.close();
  });

  test("it starts from an adapter that is given", async () => {
    const [first, second] = [`${folder}/first`, `${folder}/second`];
    await runTiny({ ...SETTINGS, output: first, steps: 2 });
    const { events } = await runTiny({
      ...SETTINGS,
      output: second,
      initAdapter: first,
      learningRate: 0,
      steps: 1,
    });
    assert.deepEqual(await adapterValues(second), await adapterValues(first));
    assert.equal(lossesOf(events).length, 1);
    await assert.rejects(
      runTiny({ ...SETTINGS, method: "ia3", rank: undefined, output: `${folder}/third`, initAdapter: first }),
      { code: "usage/adapter", message: /Cannot start ia3 from adapter .*: it is lora/ },
    );
    assert.ok(!existsSync(`${folder}/third`));
  });

  test("it starts from one by the settings that it was made with, whatever its file calls its modules", async () => {
    for (const [i, [settings, other]] of (
      [
        [
          {
            method: "ia3",
            rank: undefined,
            targetModules: "all-linear",
            feedforwardModules: ["o_proj", "mlp.down_proj"],
          },
          { feedforwardModules: ["o_proj"] },
        ],
        [
          { rank: 2, rankPattern: { q_proj: 4, "layers.0.self_attn.q_proj": 1 } },
          { rankPattern: { q_proj: 3 } },
        ],
      ] as const
    ).entries()) {
      const [initAdapter, output] = [`${folder}/by-name-${i}`, `${folder}/by-name-${i}-further`];
      const own = { ...SETTINGS, ...settings, steps: 1 };
      await runTiny({ ...own, output: initAdapter });
      await runTiny({ ...own, output, initAdapter });
      await assert.rejects(runTiny({ ...own, ...other, output: `${output}-not`, initAdapter }), {
        code: "usage/adapter",
        message: /other settings: (feedforwardModules|rankPattern) is/,
      });
    }
  });
});
