/** @file Every objective through `train()`: what is learned, what is told, what a run compares with, and resuming. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { z } from "zod";
import { readDataset } from "../../src/data/by-path.ts";
import type { DataKindName } from "../../src/data/examples/data-kinds.ts";
import { openTextTools } from "../../src/data/chat/text-tools.ts";
import { loadModel, readAdapter } from "../../src/format/by-path.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { NEEDED_OPTIONS } from "../passes/model-passes.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { unitsToBatch } from "../../src/train/step/micro-batch.ts";
import { Scorer } from "../../src/train/step/scorer.ts";
import { OBJECTIVES, findObjective } from "../../src/train/objectives.ts";
import type { Objective, Outcome } from "../../src/train/objective.ts";
import type { TrainInput } from "../../src/train/settings/train-input.ts";
import { scoreSequences } from "../../src/train/step/sequence-scores.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { writeTinyRows } from "../tiny/rows.ts";
import { bytesOf, lossesOf, runTiny } from "./tiny-run.ts";
import { inTurn, sampled } from "../matrix/sampled.ts";
import { jsonLines } from "../files/read-json.ts";

const folder = temporaryFolder();
const classifier = (name: string, config: object): Promise<string> =>
  writeTinyModel(`${folder}/${name}`, {
    config: { architectures: ["LlamaForSequenceClassification"], tie_word_embeddings: false, ...config },
  });
const classes = { id2label: { 0: "bad", 1: "good" } };
const TEXT_MODEL = await writeTinyModel(`${folder}/model`);
const JUDGES: Partial<Record<DataKindName, string>> = {
  classes: await classifier("classifier", classes),
  labels: await classifier("labels", { ...classes, problem_type: "multi_label_classification" }),
  numbers: await classifier("scorer", { id2label: { 0: "score" } }),
};
/** What evaluations tell besides, by the data that they read. */
const OF_ROWS: Partial<Record<DataKindName, readonly string[]>> = {
  text: ["perplexity"],
  preference: ["rewards/accuracies"],
  classes: ["accuracy", "macro_f1"],
  labels: ["micro_f1"],
  numbers: ["mse", "pearson", "spearman"],
};
const KINDS = [...new Set(OBJECTIVES.map(({ rows }) => rows))];
const DATA = new Map(KINDS.map((kind) => [kind, writeTinyRows(`${folder}/${kind}.jsonl`, kind, 16)]));
const HELD_OUT = new Map(
  KINDS.map((kind) => [kind, writeTinyRows(`${folder}/held-${kind}.jsonl`, kind, 6, 2)]),
);

/** Learning rates of methods that leave the way down at 0.02. */
const RATES: Readonly<Record<string, number>> = { lora: 0.01, full: 3e-3 };

/** Settings of a run of an objective with a method; only some methods have a rank. */
function settingsFor(objective: string, method: string, output: string): TrainInput {
  const { rows } = findObjective(objective);
  return {
    model: JUDGES[rows] ?? TEXT_MODEL,
    data: DATA.get(rows)!,
    method,
    rank: ["lora", "dora", "road-lora", "snell", "vera"].includes(method) ? 4 : undefined,
    objective,
    output: `${folder}/${output}`,
    batchSize: 4,
    learningRate: RATES[method] ?? 0.02,
    schedule: "constant",
    seed: 1,
  };
}

/** What TRL's trainers tell of a step, for objectives that tell anything. */
const PAIR = ["accuracies", "chosen", "margins", "rejected"].map((name) => `rewards/${name}`);
const METRICS: Readonly<Record<string, readonly string[]>> = {
  dpo: ["logps/chosen", "logps/rejected", ...PAIR],
  orpo: ["log_odds_chosen", "log_odds_ratio", "logps/chosen", "logps/rejected", "nll_loss", ...PAIR],
  kto: ["kl", "logps/chosen", "logps/rejected", ...PAIR.slice(1)],
};
/** What every step, and every evaluation, is told of beside. */
const OF_STEPS =
  "event step total_steps epoch loss learning_rate grad_norm tokens tokens_per_second peak_mb".split(" ");
const OF_EVALUATIONS = ["event", "step", "loss", "tokens"];

type Line = Readonly<Record<string, number | string>>;

function linesOf(output: string): Line[] {
  return jsonLines(readFileSync(`${folder}/${output}/log.jsonl`, "utf8"));
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

for (const [turn, { name, rows }] of OBJECTIVES.entries()) {
  describe(`objective ${name}`, () => {
    for (const method of inTurn(["lora", "road", "ia3", "full"], turn)) {
      test(`${method} learns by it, and the run tells of it as TRL does`, async () => {
        const output = `${name}-${method}`;
        const evaluated = { evalData: HELD_OUT.get(rows)!, evalEvery: 12 };
        const { events, result } = await runTiny({
          ...settingsFor(name, method, output),
          ...evaluated,
          steps: 24,
        });
        const losses = lossesOf(events);
        const [start, end] = [mean(losses.slice(0, 3)), mean(losses.slice(-3))];
        assert.ok(end < 0.97 * start, `loss ${start} to ${end}`);
        const lines = linesOf(output);
        const told = METRICS[name] ?? [];
        for (const line of lines) {
          // Not each step has answers of both kinds.
          const some = line["event"] === "eval" || name !== "kto";
          const ofRows = OF_ROWS[rows] ?? [];
          const own = line["event"] === "step" ? OF_STEPS : [...OF_EVALUATIONS, ...ofRows];
          const expected = [...new Set([...own, ...told])];
          const found = Object.keys(line);
          const unlisted = found.filter((key) => !expected.includes(key));
          assert.deepEqual(unlisted, [], `add the metrics ${unlisted.join(", ")} of "${name}" to METRICS`);
          if (some) assert.deepEqual(found.sort(), expected.sort());
          else assert.ok(found.includes("kl"), found.join());
        }
        const evaluations = lines.filter(({ event }) => event === "eval") as Readonly<
          Record<string, number>
        >[];
        assert.deepEqual(
          evaluations.map(({ step }) => step),
          [0, 12, 24],
        );
        const [first, last] = [evaluations[0]!, evaluations.at(-1)!];
        assert.ok(last["loss"]! < first["loss"]!, `held-out loss ${first["loss"]} to ${last["loss"]}`);
        assert.equal(result.evaluation?.loss, last["loss"]);
        // That of others is below 0 in the mean, and so 0.
        if (told.includes("kl") && method === "lora")
          assert.ok(first["kl"]! < 1e-4 && last["kl"]! > 1e-3, `kl to ${last["kl"]}`);
        if (told.includes("rewards/margins")) assert.ok(last["rewards/margins"]! > first["rewards/margins"]!);
        if (findObjective(name).needs.includes("reference")) {
          // Nothing has moved yet: no reward but for rounding.
          for (const side of ["chosen", "rejected"]) assert.ok(Math.abs(first[`rewards/${side}`]!) < 1e-4);
        }
      });
    }

    test("a run that is stopped and resumed ends bit-equal", async () => {
      const own = { dropout: 0.1, gradientAccumulationSteps: 2, batchSize: 2, steps: 6 };
      const whole = { ...settingsFor(name, "lora", `${name}-whole`), ...own };
      const { events } = await runTiny(whole);
      const parts = { ...settingsFor(name, "lora", `${name}-parts`), ...own };
      const controller = new AbortController();
      const onEvent = (event: { event: string; step?: number }): void => {
        if (event.event === "step" && event.step === 3) controller.abort();
      };
      await assert.rejects(runTiny(parts, { signal: controller.signal, onEvent }), { code: "train/stopped" });
      const resumed = await runTiny({ ...parts, resume: true });
      assert.deepEqual(lossesOf(resumed.events), lossesOf(events).slice(3));
      const file = "adapter_model.safetensors";
      assert.ok(bytesOf(parts.output, file).equals(bytesOf(whole.output, file)));
    });

    for (const { name: method } of sampled(METHODS, (_, i) => (turn + i) % OBJECTIVES.length === 0)) {
      test(`two steps with method ${method}`, async () => {
        const { events } = await runTiny({
          ...settingsFor(name, method, `${name}-${method}-two`),
          ...NEEDED_OPTIONS[method],
          steps: 2,
        });
        assert.ok(lossesOf(events).length === 2 && lossesOf(events).every(Number.isFinite));
      });
    }
  });
}

test("an objective of one's own learns, with an option of its own", async () => {
  const crossEntropy = findObjective("cross-entropy");
  const own: Objective<{ factor: number }> = {
    ...crossEntropy,
    name: "own",
    options: z.strictObject({ factor: z.number().default(1) }),
    evaluate(scores, totals, { factor }) {
      const { loss, gradient } = crossEntropy.evaluate(scores, totals, {});
      return { loss: factor * loss, gradient: gradient.map((value) => factor * value), metrics: { factor } };
    },
  };
  const objectives = [...OBJECTIVES, own as Objective];
  const settings = { ...settingsFor("cross-entropy", "lora", "own"), objective: "own", factor: 2, steps: 8 };
  const { events } = await runTiny(settings, { objectives });
  const plain = await runTiny({ ...settingsFor("cross-entropy", "lora", "plain"), steps: 1 });
  const losses = lossesOf(events);
  assert.ok(Math.abs(losses[0]! - 2 * lossesOf(plain.events)[0]!) < 1e-5, losses.join(", "));
  assert.ok(losses.at(-1)! < losses[0]!, losses.join(", "));
  await assert.rejects(runTiny({ ...settings, output: `${folder}/unknown` }), {
    code: "usage/flag",
    message: /own/,
  });
});

test("an objective of one's own that breaks its contract is named, with what it returned", async () => {
  const crossEntropy = findObjective("cross-entropy");
  for (const [change, message] of [
    [() => undefined, /"own": its loss is undefined, expected a number/],
    [(outcome: object) => ({ ...outcome, gradient: [1] }), /its gradient is .*expected a Float32Array/],
    [
      (outcome: object) => ({ ...outcome, gradient: new Float32Array(0) }),
      /gradient has 0 numbers, expected/,
    ],
    [(outcome: object) => ({ ...outcome, metrics: undefined }), /its metrics is undefined/],
    [
      (outcome: object) => ({ ...outcome, metrics: { sure: "x" } }),
      /metric "sure" is "x", expected a number/,
    ],
    [
      (outcome: object) => ({ ...outcome, metrics: { grad_norm: 1 } }),
      /"grad_norm" has the name of a field of events/,
    ],
  ] as const) {
    const evaluate = (...given: Parameters<Objective["evaluate"]>): Outcome =>
      change(crossEntropy.evaluate(...given)) as unknown as Outcome;
    const objectives = [...OBJECTIVES, { ...crossEntropy, name: "own", evaluate }];
    const settings = { ...settingsFor("cross-entropy", "lora", "broken"), objective: "own", overwrite: true };
    await assert.rejects(runTiny(settings, { objectives }), { code: "usage/flag", message });
  }
  for (const [change, message] of [
    [{ rows: "rows" }, /objectives\.0\.rows is "rows", expected one of text, /],
    [{ needs: undefined }, /objectives\.0\.needs is missing/],
    [{ rateFactor: undefined }, /objectives\.0\.rateFactor is missing/],
    [{ options: { parse: () => {}, safeParse: () => {} } }, /expected an object schema of zod 4/],
  ] as const) {
    const broken = { ...crossEntropy, name: "own", ...change } as unknown as Objective;
    const settings = settingsFor("cross-entropy", "lora", "never");
    await assert.rejects(runTiny(settings, { objectives: [broken] }), { code: "usage/flag", message });
  }
});

/** Mean log-probability of the chosen and of the rejected answers of the held-out pairs by a model. */
async function logProbsOf(
  model: string,
  adapterFolder: string | null,
): Promise<{ chosen: number; rejected: number }> {
  const { base, checkpoint } = await loadModel(model);
  const adapter = adapterFolder === null ? null : (await readAdapter(adapterFolder, base)).adapter;
  const session = new Session(createEngine({ threads: 1 }), base);
  const { tokenizer, template } = openTextTools(model, checkpoint.tokenizerFiles);
  const { train: examples } = await readDataset<DataKindName>(HELD_OUT.get("preference")!, {
    tokenizer,
    template,
    maxLength: 64,
    kind: "preference",
  });
  const scorer = await Scorer.create(session, { adapter, reference: null }, findObjective("orpo"));
  const scores = scoreSequences(await scorer.scores(unitsToBatch(examples)));
  await session.release();
  await checkpoint.close();
  const meanOf = (role: string): number =>
    mean(scores.flatMap((score) => (score.role === role ? [score.logProb] : [])));
  return { chosen: meanOf("chosen"), rejected: meanOf("rejected") };
}

describe("what a run is compared with", () => {
  const evaluated = { evalData: HELD_OUT.get("preference")!, evalEvery: 8, steps: 8, beta: 0.5 };
  const base = TEXT_MODEL;

  for (const [what, method, options] of [
    ["all of the base is trained", "full", {}],
    ["biases and norms of the base are trained", "bitfit", {}],
    ["modules of the base are trained beside an adapter", "lora", { modulesToSave: ["norm", "lm_head"] }],
  ] as const) {
    test(`is the base as it was loaded, where ${what}`, async () => {
      const output = `reference-${method}`;
      const settings = { ...settingsFor("dpo", method, output), ...evaluated, ...options };
      const { result } = await runTiny(settings);
      const isModel = method === "full";
      const trained = await logProbsOf(isModel ? settings.output : base, isModel ? null : settings.output);
      const before = await logProbsOf(base, null);
      const metrics = result.evaluation?.metrics ?? {};
      for (const side of ["chosen", "rejected"] as const) {
        const reward = 0.5 * (trained[side] - before[side]);
        assert.ok(Math.abs(reward) > 0.01, `reward ${reward}`);
        assert.ok(Math.abs(metrics[`rewards/${side}`]! - reward) < 1e-4, `${side}: ${reward}`);
        assert.ok(Math.abs(metrics[`logps/${side}`]! - trained[side]) < 1e-4);
      }
    });
  }

  test("is the adapter that it starts from, if there is one; also when it is resumed", async () => {
    const first = settingsFor("cross-entropy", "lora", "reference-first");
    await runTiny({ ...first, steps: 8 });
    const settings = {
      ...settingsFor("dpo", "lora", "reference-second"),
      ...evaluated,
      initAdapter: first.output,
    };
    const controller = new AbortController();
    const evaluations: Line[] = [];
    const onEvent = (event: object): void => {
      const line = event as Line;
      if (line["event"] === "eval") evaluations.push(line);
      if (line["event"] === "step" && line["step"] === 4) controller.abort();
    };
    await assert.rejects(runTiny(settings, { signal: controller.signal, onEvent }), {
      code: "train/stopped",
    });
    await runTiny({ ...settings, resume: true }, { onEvent });
    const [start, end] = [evaluations[0]!, evaluations.at(-1)!];
    assert.equal(start["rewards/chosen"], 0);
    assert.equal(start["rewards/rejected"], 0);
    const [before, after, alone] = [
      await logProbsOf(base, first.output),
      await logProbsOf(base, settings.output),
      await logProbsOf(base, null),
    ];
    assert.ok(Math.abs(before.chosen - alone.chosen) > 0.5, "the adapter to start from changes little");
    for (const side of ["chosen", "rejected"] as const) {
      const reward = 0.5 * (after[side] - before[side]);
      assert.ok(Math.abs(Number(end[`rewards/${side}`]) - reward) < 1e-4, `${side}: ${reward}`);
    }
    await runTiny({ ...first, steps: 9, overwrite: true });
    await assert.rejects(runTiny({ ...settings, resume: true }), {
      code: "usage/resume",
      message: /settings: initAdapter was \["reference-first, sha256 \w+…"\], is/,
    });
  });
});

describe("in 8 bits, without half of the backward pass", () => {
  for (const { name } of OBJECTIVES) {
    test(`${name} lowers its loss`, async () => {
      const cheap = { compute: "int8" as const, dropbp: 0.5, steps: 8, gradientAccumulationSteps: 2 };
      const { events } = await runTiny({ ...settingsFor(name, "lora", `cheap-${name}`), ...cheap });
      const losses = lossesOf(events);
      assert.ok(losses.every(Number.isFinite) && losses.at(-1)! < losses[0]!, losses.join(", "));
    });
  }
});
