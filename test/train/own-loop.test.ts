/** @file What a loop of one's own is refused, in `fineTune` and beside it: examples, adapters and sessions that do not fit. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as ops from "../../src/graph/operations.ts";
import { planSteps } from "../../src/data/batches/order.ts";
import type { Example } from "../../src/data/examples/example.ts";
import type { TrainingUnit } from "../../src/data/examples/training-unit.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { mergedModel } from "../../src/peft/merged-model.ts";
import type { AdapterMethod, Method } from "../../src/peft/method.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { train as runTraining } from "../../src/engine/train.ts";
import { readAdapter } from "../../src/format/adapters/read-adapter.ts";
import { memoryFolder } from "../../src/format/files/memory-folder.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { Generator } from "../../src/engine/generation/generator.ts";
import { estimateFisher } from "../../src/train/fisher.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import { fineTune } from "../../src/train/loop/fine-tune.ts";
import { MOST_STEPS } from "../../src/train/loop/step-history.ts";
import { RUN_STATE, type RunState, firstState } from "../../src/train/loop/run-state.ts";
import { NO_STORE } from "../../src/train/loop/run-store.ts";
import type { FineTuneRequest } from "../../src/train/loop/fine-tune-request.ts";
import { attachTo, randomExamples } from "../passes/model-passes.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { requestFor } from "./fine-tune-request.ts";

const [A, B] = ["lora_A.weight", "lora_B.weight"];
const folder = temporaryFolder();
const { base } = await openUntilEnd(await writeTinyModel(`${folder}/model`));
const session = new Session(createEngine({ threads: 1 }), base);

/** Runs to the end; returns the number of steps. */
async function train(request: FineTuneRequest): Promise<number> {
  let numSteps = 0;
  for await (const { event } of fineTune(request)) if (event === "step") numSteps++;
  return numSteps;
}

function exampleOf(ids: readonly number[], weights: readonly number[]): Example {
  const source = { file: "memory", line: 1 };
  return { ids: Int32Array.from(ids), weights: Float32Array.from(weights), source };
}

/** One example a step. */
function planOf(examples: readonly TrainingUnit[]): FineTuneRequest["plan"] {
  const order = { batchSize: 1, gradientAccumulationSteps: 1, packing: false, maxLength: 4096 };
  return planSteps<TrainingUnit>({ examples, ...order, shuffle: false, seed: 0 });
}

describe("examples", async () => {
  const adapter = await attachTo(base, lora);
  const [good] = randomExamples([8]);
  const ones = (length: number): number[] => Array.from({ length }, (_, i) => (i === 0 ? 0 : 1));

  for (const [what, bad, code, message] of [
    ["longer than the positions", exampleOf(ones(600), ones(600)), "usage/length", /600 tokens.*at most 512/],
    ["of a negative id", exampleOf([5, -3, 7], ones(3)), "usage/model", /token id -3/],
    ["of an id beyond the embedding", exampleOf([5, 9999], ones(2)), "usage/model", /token id 9999/],
    ["without tokens", exampleOf([], []), "usage/data", /no tokens/],
    ["of which nothing is learned", exampleOf([5, 6], [1, 0]), "usage/data", /weight above 0/],
    ["of a weight that is no number", exampleOf([5, 6], [0, NaN]), "usage/data", /weight NaN of token 1/],
    ["of a negative weight", exampleOf([5, 6], [0, -1]), "usage/data", /weight -1 of token 1/],
    ["of an endless weight", exampleOf([5, 6], [0, Infinity]), "usage/data", /weight Infinity/],
    ["that is none", {} as Example, "usage/flag", /examples\.0 is/],
  ] as const) {
    test(`fineTune refuses one ${what} before it begins`, async () => {
      const request = { ...requestFor(session, adapter), plan: planOf([good!, bad]) };
      const run = fineTune(request);
      await assert.rejects(run.next(), { code, message });
    });
  }

  test("a plan of one's own is held to it in every step", async () => {
    const first = planOf([good!]);
    const plan = {
      ...first,
      microBatches: (step: number) => (step < 2 ? [[[good!]]] : [[[exampleOf([-1, 1], [0, 1])]]]),
    };
    await assert.rejects(train({ ...requestFor(session, adapter), plan }), { message: /token id -1/ });
  });

  test("an evaluator refuses those of which nothing is learned, and weights that are none", async () => {
    const evaluator = await Evaluator.create(session, null);
    for (const weights of [
      [0, 0],
      [1, 0],
      [0, NaN],
      [0, -1],
      [0, Infinity],
    ]) {
      await assert.rejects(evaluator.evaluate([exampleOf([5, 6], weights)]), { code: "usage/data" });
    }
    // Nothing predicts the first token.
    const { tokens } = await evaluator.evaluate([exampleOf([5, 6, 7], [1, 1, 1])]);
    assert.equal(tokens, 2);
  });
});

describe("a method of one's own that trains nothing", () => {
  const without = (name: string, adapt: AdapterMethod["adapt"]): Method => ({
    ...lora,
    file: { ...lora.file, peftType: name },
    name,
    adapt,
  });
  for (const method of [
    without("unused", (site, x) => site.project(x)),
    without("stopped", (site, x, { [A]: a, [B]: b }) => {
      const low = ops.matmul(x, ops.stopGradient(a!), { transB: true });
      return ops.add(site.project(x), ops.matmul(low, ops.stopGradient(b!), { transB: true }));
    }),
  ]) {
    test(`${method.name}: ends the run, with branches that are dropped at its end`, async () => {
      const request = requestFor(session, await attachTo(base, method));
      const code = "train/no-movement";
      await assert.rejects(train(request), { code, message: /has a gradient, up to step 1/ });
      const dropBp = { rate: 0.5, length: 16, sensitivity: null };
      await assert.rejects(train({ ...request, dropBp }), { code, message: /up to step 3/ });
    });
  }
});

describe("an adapter of another base", async () => {
  const { base: other } = await openUntilEnd(await writeTinyModel(`${folder}/other`, { seed: 9 }));
  const { base: again } = await openUntilEnd(`${folder}/model`);
  const engine = createEngine({ threads: 1 });
  const own = await attachTo(base, lora);
  const foreign = await attachTo(other, lora);
  const request = requestFor(session, own);
  const units = randomExamples([6]);

  for (const [what, use] of [
    ["evaluated", (adapter) => Evaluator.create(session, adapter)],
    ["compared with", (reference) => Evaluator.create(session, own, { reference })],
    ["trained", (adapter) => train({ ...request, adapter })],
    ["measured", (adapter) => estimateFisher(session, adapter, units)],
    ["merged", (adapter) => mergeAdapter(engine, base, adapter)],
    ["merged as it is read", (adapter) => mergedModel(engine, base, adapter)],
    ["written with", (adapter) => Generator.create({ session, adapter })],
  ] as readonly [string, (adapter: Adapter) => Promise<unknown>][]) {
    test(`is not ${what}, though all of its shapes fit; one of the same files is`, async () => {
      const message =
        /^Cannot use an adapter of method "lora" with model .*: it was made for .*, whose numbers are others$/;
      await assert.rejects(use(foreign), { code: "usage/adapter", message });
      await use(await attachTo(again, lora));
    });
  }
});

test("a method whose files would be read as another's is refused where it is chosen, and where it is attached", async () => {
  const triple: Method = { ...lora, name: "triple" };
  await assert.rejects(attachTo(base, triple), {
    code: "usage/flag",
    message: /^Cannot use method "triple": its files are of peftType "LORA" as those of another method/,
  });
  const methods = [...METHODS, triple];
  const message = /methods .*two of which have files of peftType "LORA"/;
  await assert.rejects(readAdapter(memoryFolder("none", {}), base, methods), { code: "usage/flag", message });
  const settings = { model: folder, data: [{ text: "ka" }], output: `${folder}/never`, method: "triple" };
  await assert.rejects(runTraining(settings, { methods }), { code: "usage/flag", message });
});

test("an adapter is trained by one run at a time, and by the next when that ends or is ended", async () => {
  const request = requestFor(session, await attachTo(base, lora));
  const first = fineTune(request);
  await first.next();
  await assert.rejects(train(request), { code: "usage/state", message: /another run trains it/ });
  await first.return(null as never);
  assert.equal(await train(request), 3);
  assert.equal(await train(request), 3);
});

test("a session that is released between two steps, or in one, ends the run as such", async () => {
  for (const isInStep of [false, true]) {
    const own = new Session(createEngine({ threads: 1 }), base);
    const request = requestFor(own, await attachTo(base, lora));
    let numBlocks = 0;
    const betweenBlocks = async (): Promise<void> => {
      // Of the second step, after the evaluation before the first.
      if (isInStep && ++numBlocks === 12) await own.release();
    };
    const run = fineTune({ ...request, evaluation: null, hooks: { ...request.hooks, betweenBlocks } });
    const rest = async (): Promise<void> => {
      for await (const _ of run) if (!isInStep) await own.release();
    };
    await assert.rejects(rest(), {
      code: "usage/state",
      message: /^Cannot train on model .*its session is released/,
    });
  }
});

test("a run that remembered each of its many steps goes on with as many as a checkpoint may hold", async () => {
  const adapter = await attachTo(base, lora);
  const done = 4 * MOST_STEPS;
  const step = { event: "step", loss: 1, tokens: 8, tokens_per_second: 8, peak_mb: 1 };
  const log_history = Array.from({ length: done }, (_, i) => ({ ...step, step: i + 1 }));
  const { step_totals: _none, ...older } = firstState(done, adapter.numTrained, {});
  const resumed = RUN_STATE.parse({ ...older, global_step: done, log_history });
  const saved: RunState[] = [];
  const store = {
    ...NO_STORE,
    resume: async () => resumed,
    save: async (state: RunState) => void saved.push(state),
  };
  await train({
    ...requestFor(session, adapter),
    evaluation: null,
    store,
    saveEverySteps: 1,
    totalSteps: done + 2,
  });
  assert.equal(saved.length, 2);
  for (const { log_history: history, step_totals: totals } of saved) {
    assert.ok(history.length <= MOST_STEPS + 2, `${history.length} rows`);
    assert.ok(totals.seconds > done, `${totals.seconds} s`);
  }
  assert.equal(saved.at(-1)!.log_history.at(-1)!["step"], done + 2);
});
