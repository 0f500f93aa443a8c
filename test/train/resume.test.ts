/** @file A run that was stopped or killed and then resumed ends bit-equal to one that never stopped. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { ResumeEvent, TrainEvent } from "../../src/train/events.ts";
import type { TrainInput } from "../../src/train/settings/train-input.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, flagsFor, lossesOf, runTiny, snapshot, startProgram } from "./tiny-run.ts";
import { readJson } from "../files/read-json.ts";

const RESULT = "adapter_model.safetensors";
const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const data = writeTinyChats(`${folder}/chats.jsonl`, 9);
const SETTINGS = {
  model,
  data,
  dropout: 0.1,
  shuffle: true,
  gradientAccumulationSteps: 2,
  learningRate: 0.01,
  warmupSteps: 2,
  weightDecay: 0.01,
  seed: 5,
};

/** Results of runs of 60 steps and of 6 that nothing happened to. */
const whole: Promise<Buffer>[] = [];
function wholeOf(steps: 6 | 60): Promise<Buffer> {
  return (whole[steps] ??= runTiny({ ...SETTINGS, steps, output: `${folder}/whole-${steps}` }).then(() =>
    bytesOf(`${folder}/whole-${steps}`, RESULT),
  ));
}

/** Held-out losses by step. */
function lossesAt(events: readonly TrainEvent[]): Map<number, number> {
  return new Map(events.flatMap((event) => (event.event === "eval" ? [[event.step, event.loss]] : [])));
}

describe("resuming", () => {
  for (const optimizer of ["adamw", "lion"]) {
    test(`${optimizer}: stopped after step 3 and resumed, the result is bit-equal`, async () => {
      const whole = `${folder}/${optimizer}-whole`;
      const { events } = await runTiny({ ...SETTINGS, optimizer, output: whole });
      const parts = `${folder}/${optimizer}-parts`;
      const controller = new AbortController();
      const stopped = runTiny(
        { ...SETTINGS, optimizer, output: parts, saveEvery: 2 },
        {
          signal: controller.signal,
          onEvent: (event) => {
            if (event.event === "step" && event.step === 3) controller.abort();
          },
        },
      );
      await assert.rejects(stopped, {
        code: "train/stopped",
        message: /stopped after step 3 of 6/,
        hint: /--resume/,
      });
      assert.deepEqual(readdirSync(parts).sort(), [
        "checkpoint-2",
        "checkpoint-3",
        "config.yaml",
        "log.jsonl",
        "report.html",
      ]);
      const resumed = await runTiny({ ...SETTINGS, optimizer, output: parts, resume: true });
      assert.deepEqual(lossesOf(resumed.events), lossesOf(events).slice(3));
      assert.ok(bytesOf(parts, RESULT).equals(bytesOf(whole, RESULT)));
      assert.equal(resumed.result.steps, 6);
      assert.deepEqual(stepsLogged(parts), [1, 2, 3, 4, 5, 6]);
    });
  }

  test("full: stopped and resumed, the model is bit-equal", async () => {
    const own = { model, data, method: "full", rank: undefined, seed: 2 };
    const [whole, parts] = [`${folder}/full-whole`, `${folder}/full-parts`];
    await runTiny({ ...own, output: whole });
    const controller = new AbortController();
    const onEvent = (event: { event: string }): void => {
      if (event.event === "step") controller.abort();
    };
    await assert.rejects(runTiny({ ...own, output: parts }, { signal: controller.signal, onEvent }), {
      code: "train/stopped",
    });
    await runTiny({ ...own, output: parts, resume: true });
    assert.ok(bytesOf(parts, "model.safetensors").equals(bytesOf(whole, "model.safetensors")));
  });

  test("killed between checkpoints and resumed, the result is bit-equal", async () => {
    const settings: TrainInput = { ...SETTINGS, steps: 60, output: `${folder}/killed` };
    const run = startProgram(flagsFor({ ...settings, saveEvery: 2 }), (event) => {
      if (event.event === "step" && event.step === 5) run.child.kill("SIGKILL");
    });
    const { signal, stderr } = await run.ended;
    assert.equal(signal, "SIGKILL", stderr);
    const left = readdirSync(settings.output).filter((name) => name.startsWith("checkpoint-"));
    assert.ok(left.length > 0 && !existsSync(`${settings.output}/${RESULT}`), left.join());
    await runTiny({ ...settings, resume: true });
    assert.ok(bytesOf(settings.output, RESULT).equals(await wholeOf(60)));
    assert.deepEqual(
      stepsLogged(settings.output),
      Array.from({ length: 60 }, (_, i) => i + 1),
    );
  });

  const SIGNALS = [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const;
  for (const [signal, expected] of SIGNALS) {
    test(`${signal} ends the program with a checkpoint, status ${expected}, and the word how to go on`, () =>
      stopBy(signal, expected));
  }

  async function stopBy(signal: NodeJS.Signals, expected: number): Promise<void> {
    const settings: TrainInput = { ...SETTINGS, steps: 60, output: `${folder}/${signal}` };
    const run = startProgram(flagsFor(settings), (event) => {
      // Twice, as `timeout` does, which signals a process and its group.
      if (event.event === "step" && event.step === 4) for (let i = 0; i < 2; i++) run.child.kill(signal);
    });
    const { status, stderr, events } = await run.ended;
    assert.equal(status, expected, stderr);
    assert.match(stderr, /stopped after step \d+ of 60/);
    assert.match(stderr, /--resume/);
    assert.equal((events.at(-1) as { code?: string }).code, "train/stopped");
    const names = readdirSync(settings.output).sort();
    assert.match(names.join(), /^checkpoint-\d+,config\.yaml,log\.jsonl,report\.html$/);
    await runTiny({ ...settings, resume: true });
    assert.ok(bytesOf(settings.output, RESULT).equals(await wholeOf(60)));
  }

  test("made longer, it stops early where a run of the new length does, with the same bits", async () => {
    const settings = {
      ...SETTINGS,
      evalData: writeTinyChats(`${folder}/few-held-out.jsonl`, 4, 2),
      evalEvery: 3,
      earlyStopping: 2,
      keepLast: 1,
      schedule: "constant",
      warmupSteps: 0,
      learningRate: 0.1,
      steps: 30,
    } as const;
    const straight = `${folder}/straight`;
    const { result, events } = await runTiny({ ...settings, output: straight });
    const losses = lossesAt(events);
    assert.equal(result.held_out_loss, losses.get(result.result_step));
    assert.equal(Math.min(...losses.values()), result.held_out_loss);
    assert.equal(result.steps - result.result_step, 6);
    assert.ok(result.steps < settings.steps, `it stopped after ${result.steps}`);
    // Which end is which depends on how a processor rounds.
    const sought = {
      "less than the next two": (loss: number, [, ...next]: readonly number[]) =>
        next.every((other) => loss < other),
      "more than before": (loss: number, [before]: readonly number[]) => loss > before!,
    };
    const found = new Set<string>();
    for (const steps of [8, 17, 7, 10, 11, 13, 14, 16, 4, 5]) {
      if (found.size === Object.keys(sought).length) break;
      const output = `${folder}/longer-${steps}`;
      const shorter = await runTiny({ ...settings, steps, output });
      const last = steps - (steps % 3);
      const around = [last, last + 3, last + 6].map((step) => losses.get(step)!);
      const loss = lossesAt(shorter.events).get(steps)!;
      const kinds = Object.entries(sought).flatMap(([name, fits]) => (fits(loss, around) ? [name] : []));
      if (kinds.every((name) => found.has(name))) continue;
      for (const name of kinds) found.add(name);
      const best = [...losses].filter(([step]) => step <= last).reduce((a, b) => (b[1] < a[1] ? b : a))[0];
      const kept = readdirSync(output).filter((name) => name.startsWith("checkpoint-"));
      assert.deepEqual(kept.sort(), [`checkpoint-${best}`, `checkpoint-${steps}`].sort());
      const longer = await runTiny({ ...settings, resume: true, output });
      assert.deepEqual(
        [longer.result.steps, longer.result.result_step, longer.result.held_out_loss],
        [result.steps, result.result_step, result.held_out_loss],
        `made longer after step ${steps}`,
      );
      assert.ok(bytesOf(output, RESULT).equals(bytesOf(straight, RESULT)));
      const told = longer.events.find((event): event is ResumeEvent => event.event === "resume");
      assert.match(told?.notes.join() ?? "", /exactly that of a run of 30 steps/);
    }
    assert.deepEqual([...found].sort(), Object.keys(sought));
  });

  test("logs that were begun are gone on with, whatever forms are asked for later", async () => {
    const output = `${folder}/logs`;
    await runTiny({ ...SETTINGS, warmupSteps: 1, steps: 2, output });
    writeFileSync(`${output}/log.jsonl`, `${JSON.stringify({ event: "step", step: 3 })}\n`, { flag: "a" });
    await runTiny({ ...SETTINGS, warmupSteps: 1, steps: 4, output, log: ["csv"], resume: true });
    assert.deepEqual(stepsLogged(output), [1, 2, 3, 4]);
    const rows = readFileSync(`${output}/log.csv`, "utf8").trim().split("\n");
    assert.equal(rows.length, 1 + 4, "the new form has what happened before too");
    assert.ok(!existsSync(`${output}/events.out.tfevents.graft`));
  });

  test("stopped in the middle of an evaluation, it evaluates when it goes on, and ends with the same bits", async () => {
    const settings = {
      ...SETTINGS,
      evalData: writeTinyChats(`${folder}/held-out.jsonl`, 60, 2),
      evalEvery: 3,
      evalMetric: "loss" as const,
      saveEvery: 2,
    };
    const [whole, parts] = [`${folder}/evaluated-whole`, `${folder}/evaluated-parts`];
    await runTiny({ ...settings, output: whole });
    for (const [name, step] of [
      ["start", 0],
      ["step", 3],
    ] as const) {
      const controller = new AbortController();
      const told: TrainEvent[] = [];
      const onEvent = (event: TrainEvent): void => {
        told.push(event);
        if (event.event === name && (event.event === "start" || event.step === step)) controller.abort();
      };
      await assert.rejects(
        runTiny({ ...settings, output: parts, resume: step > 0 }, { signal: controller.signal, onEvent }),
        { code: "train/stopped", message: new RegExp(`after step ${step} of 6`) },
      );
      assert.ok(!told.some((event) => event.event === "eval" && event.step === step));
    }
    await runTiny({ ...settings, output: parts, resume: true });
    assert.ok(bytesOf(parts, RESULT).equals(bytesOf(whole, RESULT)));
    const evaluations = (output: string): string[] =>
      readFileSync(`${output}/log.jsonl`, "utf8")
        .split("\n")
        .filter((line) => line.includes('"eval"'));
    assert.deepEqual(evaluations(parts), evaluations(whole));
    assert.equal(evaluations(whole).length, 3);
  });

  test("a run that was saved with the old names of settings goes on", async () => {
    const parts = `${folder}/named-parts`;
    await runTiny({ ...SETTINGS, output: parts, saveEvery: 3 });
    rmSync(`${parts}/checkpoint-6`, { recursive: true });
    const path = `${parts}/checkpoint-3/trainer_state.json`;
    const state = JSON.parse(readFileSync(path, "utf8")) as { settings: Record<string, unknown> };
    rmSync(`${parts}/checkpoint-3/manifest.json`);
    const { gradientAccumulationSteps: accumulation, ...others } = state.settings;
    assert.equal(accumulation, 2);
    writeFileSync(
      path,
      JSON.stringify({ ...state, settings: { ...others, accumulation, keepWidened: true } }),
    );
    await runTiny({ ...SETTINGS, output: parts, resume: true });
    assert.ok(bytesOf(parts, RESULT).equals(await wholeOf(6)));
    await assert.rejects(
      runTiny({ ...SETTINGS, gradientAccumulationSteps: 1, output: parts, resume: true }),
      { code: "usage/resume", message: /gradientAccumulationSteps was 2, is 1/ },
    );
  });

  test("a run that is complete and resumed again changes nothing", async () => {
    const output = `${folder}/complete`;
    await runTiny({ ...SETTINGS, output, saveEvery: 3 });
    const before = bytesOf(output, RESULT);
    const { result, events } = await runTiny({ ...SETTINGS, output, resume: true });
    assert.equal(result.steps, 6);
    assert.deepEqual(lossesOf(events), []);
    assert.ok(bytesOf(output, RESULT).equals(before));
  });
});

describe("making a complete run longer", () => {
  const constant = { ...SETTINGS, schedule: "constant", warmupSteps: 0 };
  const told = (events: readonly TrainEvent[]): ResumeEvent | undefined =>
    events.find((event) => event.event === "resume");

  test("with the constant schedule it ends bit-equal to a run of that length, and says so", async () => {
    const [whole, parts] = [`${folder}/long-whole`, `${folder}/long-parts`];
    await runTiny({ ...constant, output: whole, steps: 5 });
    await runTiny({ ...constant, output: parts, steps: 3 });
    const { result, events } = await runTiny({ ...constant, output: parts, steps: 5, resume: true });
    assert.equal(result.steps, 5);
    assert.ok(bytesOf(parts, RESULT).equals(bytesOf(whole, RESULT)));
    assert.deepEqual(stepsLogged(parts), [1, 2, 3, 4, 5]);
    assert.deepEqual(told(events), {
      event: "resume",
      checkpoint: `${parts}/checkpoint-3`,
      step: 3,
      total_steps: 5,
      notes: [
        "The run now has 5 steps instead of 3: its result is exactly that of a run of 5 steps from the start.",
      ],
    });
    const state = readJson(`${parts}/trainer_state.json`);
    assert.equal(state["max_steps"], 5);
  });

  test("one that stopped early goes on with more patience, to the bits of a run that had it from the start", async () => {
    const evalData = writeTinyChats(`${folder}/patience-held-out.jsonl`, 4, 2);
    const settings = { ...constant, learningRate: 0.1, evalData, evalEvery: 1, steps: 30 };
    const [whole, parts] = [`${folder}/patient`, `${folder}/impatient`];
    const patient = await runTiny({ ...settings, earlyStopping: 3, output: whole });
    const impatient = await runTiny({ ...settings, earlyStopping: 1, output: parts });
    assert.ok(impatient.result.steps < patient.result.steps);
    const again = await runTiny({ ...settings, earlyStopping: 1, output: parts, resume: true });
    assert.match(told(again.events)!.notes.join(), /after 1 evaluation without .* larger --early-stopping/);
    const { result } = await runTiny({ ...settings, earlyStopping: 3, output: parts, resume: true });
    assert.deepEqual([result.steps, result.result_step], [patient.result.steps, patient.result.result_step]);
    assert.ok(bytesOf(parts, RESULT).equals(bytesOf(whole, RESULT)));
  });

  test("epochs make it longer as well, and a length that is not given is that of before", async () => {
    const own = { ...constant, batchSize: 3, gradientAccumulationSteps: 1, steps: undefined };
    const [whole, parts] = [`${folder}/epochs-whole`, `${folder}/epochs-parts`];
    await runTiny({ ...own, output: whole, epochs: 2 });
    await runTiny({ ...own, output: parts, epochs: 1 });
    const again = await runTiny({ ...own, output: parts, resume: true });
    assert.equal(again.result.steps, 3);
    assert.match(told(again.events)?.notes.join() ?? "", /^The run is complete: nothing is left to do/);
    await runTiny({ ...own, output: parts, epochs: 2, resume: true });
    assert.ok(bytesOf(parts, RESULT).equals(bytesOf(whole, RESULT)));
  });

  test("with another schedule it says what differs", async () => {
    const output = `${folder}/longer-linear`;
    await runTiny({ ...SETTINGS, output, steps: 4 });
    const { result, events } = await runTiny({ ...SETTINGS, output, steps: 6, resume: true });
    assert.equal(result.steps, 6);
    assert.match(
      told(events)?.notes.join() ?? "",
      /differs from that of a run of 6 steps from the start, as steps 1 to 4 had the linear schedule of 4 steps, and/,
    );
  });

  test("it does not go on with other data under the same path", async () => {
    const [own, output] = [writeTinyChats(`${folder}/changing.jsonl`, 6), `${folder}/changed`];
    await runTiny({ ...SETTINGS, data: own, output, steps: 4 });
    writeTinyChats(own, 6, 2);
    await assert.rejects(runTiny({ ...SETTINGS, data: own, output, steps: 5, resume: true }), {
      code: "usage/resume",
      message: /: data was \["changing\.jsonl, sha256 \w{12}…"\], is \["changing\.jsonl, sha256 \w{12}…"\]/,
    });
    writeTinyChats(own, 6);
    const { result } = await runTiny({ ...SETTINGS, data: own, output, steps: 5, resume: true });
    assert.equal(result.steps, 5);
  });

  test("it does not go on with another model, tokenizer or template under the same path; a run that is older does not know", async () => {
    const [own, output] = [await writeTinyModel(`${folder}/other-model`), `${folder}/other-run`];
    const settings = { ...SETTINGS, model: own, output };
    await runTiny({ ...settings, steps: 3 });
    const rewrite = (name: string, change: (text: string) => string): void => {
      writeFileSync(`${own}/${name}`, change(readFileSync(`${own}/${name}`, "utf8")));
    };
    const cases: readonly [RegExp, () => unknown][] = [
      [
        /settings: the fingerprint of the model was "\w+-\w+", is "\w+-\w+"$/,
        () => writeTinyModel(own, { seed: 2 }),
      ],
      [
        /settings: the fingerprint of the model was/,
        () => writeTinyModel(own, { config: { rope_theta: 77 } }),
      ],
      [
        /settings: the hash of the chat template was "\w+…", is "\w+…"$/,
        () =>
          rewrite("tokenizer_config.json", (text) =>
            text.replace("'<|im_start|>assistant", "'<|im_start|>model"),
          ),
      ],
      [
        /settings: the hash of the tokenizer was "\w+…", is "\w+…"$/,
        () =>
          rewrite("tokenizer.json", (text) =>
            text.replace('"normalizer":null', '"normalizer":{"type":"NFC"}'),
          ),
      ],
    ];
    for (const [message, change] of cases) {
      await change();
      const before = snapshot(output);
      const code = "usage/resume";
      await assert.rejects(runTiny({ ...settings, steps: 4, resume: true }), { code, message });
      assert.deepEqual(snapshot(output), before);
      await writeTinyModel(own);
    }
    const again = await runTiny({ ...settings, steps: 4, resume: true });
    assert.equal(again.result.steps, 4);
    const path = `${output}/checkpoint-4`;
    rmSync(`${path}/manifest.json`);
    const state = readJson(`${path}/trainer_state.json`) as { settings: Record<string, unknown> };
    for (const key of ["modelContents", "tokenizerHash", "chatTemplateHash"])
      assert.ok(delete state.settings[key]);
    writeFileSync(`${path}/trainer_state.json`, JSON.stringify(state));
    await writeTinyModel(own, { seed: 2 });
    const older = await runTiny({ ...settings, steps: 5, resume: true });
    assert.equal(older.result.steps, 5);
  });

  test("it goes on with the same data under another path, and with no other held-out data", async () => {
    const [output, moved] = [`${folder}/moved`, `${folder}/elsewhere`];
    const place = (under: string, seed: number): { readonly data: string; readonly evalData: string } => {
      mkdirSync(under, { recursive: true });
      const [data, evalData] = [`${under}/rows.jsonl`, `${under}/held-out.jsonl`];
      return { data: writeTinyChats(data, 6), evalData: writeTinyChats(evalData, 2, seed) };
    };
    await runTiny({ ...SETTINGS, ...place(folder, 3), output, steps: 4 });
    const { result } = await runTiny({ ...SETTINGS, ...place(moved, 3), output, steps: 5, resume: true });
    assert.equal(result.steps, 5);
    const other = { ...SETTINGS, ...place(moved, 4), output, steps: 6, resume: true };
    await assert.rejects(runTiny(other), { code: "usage/resume", message: /settings: evalData was/ });
    const { evalData: _, ...without } = other;
    await assert.rejects(runTiny({ ...without }), {
      code: "usage/resume",
      message: /evalData was .*, is not given/,
    });
  });

  test("it goes on with the same model under another path, to the same bits", async () => {
    const [own, moved] = [await writeTinyModel(`${folder}/here`), `${folder}/there`];
    const settings = { ...constant, output: `${folder}/moved-model` };
    await runTiny({ ...settings, model: own, steps: 3 });
    renameSync(own, moved);
    const { result } = await runTiny({ ...settings, model: moved, steps: 4, resume: true });
    assert.equal(result.steps, 4);
    const whole = `${folder}/unmoved-model`;
    await runTiny({ ...settings, model: moved, output: whole, steps: 4 });
    assert.deepEqual(bytesOf(settings.output, RESULT), bytesOf(whole, RESULT));
    await writeTinyModel(own, { seed: 2 });
    await assert.rejects(runTiny({ ...settings, model: own, steps: 5, resume: true }), {
      code: "usage/resume",
      message: /settings: the fingerprint of the model was/,
    });
  });

  test("it cannot be made shorter than it is", async () => {
    const output = `${folder}/shorter`;
    await runTiny({ ...constant, output, steps: 3 });
    const before = bytesOf(output, RESULT);
    await assert.rejects(runTiny({ ...constant, output, steps: 2, resume: true }), {
      code: "usage/resume",
      message: /for a run of 2 steps: it is after step 3, expected at least as many/,
      hint: /more steps or epochs/,
    });
    assert.ok(bytesOf(output, RESULT).equals(before));
  });
});

/** Steps in log.jsonl, in the order of its lines. */
function stepsLogged(output: string): number[] {
  const lines = readFileSync(`${output}/log.jsonl`, "utf8").trim().split("\n");
  return lines.flatMap((line) => {
    const entry = JSON.parse(line) as { event: string; step: number };
    return entry.event === "step" ? [entry.step] : [];
  });
}
