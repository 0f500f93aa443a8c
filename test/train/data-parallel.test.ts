/** @file Micro-batches that run at once: the steps of one after another, the same bits every time, and what is refused. */
import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { TrainEvent } from "../../src/train/events.ts";
import { breathing } from "../../src/data/files/breath.ts";
import { parseTrainOptions } from "../../src/train/settings/options.ts";
import type { TrainInput } from "../../src/train/settings/train-input.ts";
import { memoryRequest } from "../../src/train/files/setup/memory-request.ts";
import { openRun, settleRun } from "../../src/train/files/setup/prepare.ts";
import { type MemoryParts, planMemory } from "../../src/train/plan/run-memory.ts";
import { attach } from "../../src/peft/attach.ts";
import { loadModel } from "../../src/format/by-path.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { Random } from "../../src/random.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { fineTune } from "../../src/train/loop/fine-tune.ts";
import { inTurn } from "../matrix/sampled.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { writeTinyRows } from "../tiny/rows.ts";
import { requestFor } from "./fine-tune-request.ts";
import { bytesOf, lossesOf, runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
const texts = writeTinyRows(join(folder, "text.jsonl"), "text", 24);
const pairs = writeTinyRows(join(folder, "pairs.jsonl"), "preference", 24);
const unpaired = writeTinyRows(join(folder, "unpaired.jsonl"), "unpaired", 24);
let model: string;
before(async () => {
  model = await writeTinyModel(join(folder, "model"));
});

const RESULT = "adapter_model.safetensors";
const STEP = { batchSize: 1, gradientAccumulationSteps: 4, steps: 3, threads: 4, learningRate: 0.01 };

type Settings = Partial<TrainInput> & Pick<TrainInput, "data">;

const CASES: Readonly<Record<string, Settings>> = {
  "lora with dropout": { data: texts, dropout: 0.3 },
  "lora without half of the backward pass": {
    data: texts,
    dropbp: 0.5,
    steps: 12,
    gradientAccumulationSteps: 3,
  },
  // Later steps differ by what rounds the other way.
  "lora in 8-bit products, packed": { data: texts, compute: "int8", packing: true, steps: 1 },
  "road with recomputation": { data: texts, method: "road", rank: undefined, gradientCheckpointing: "on" },
  "full with activations of half the size": {
    data: texts,
    method: "full",
    rank: undefined,
    activations: "float16",
  },
  "dpo, whose gradient needs a pass before": { data: pairs, objective: "dpo" },
  "kto, which looks at all of a step": { data: unpaired, objective: "kto" },
};

function normsOf(events: readonly TrainEvent[]): number[] {
  return events.flatMap((event) => (event.event === "step" ? [event.grad_norm] : []));
}

function assertClose(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of actual.entries()) {
    const difference = Math.abs(value - expected[i]!);
    assert.ok(difference <= 2e-5 * Math.abs(expected[i]!), `${i}: ${value}, expected ${expected[i]}`);
  }
}

describe("graft train --data-parallel", () => {
  for (const [turn, [name, settings]] of Object.entries(CASES).entries()) {
    test(`${name}: losses and gradient norms of one after another; the same bits each time`, async () => {
      const input = { ...STEP, ...settings, model };
      const one = await runTiny({ ...input, output: join(folder, `${name} 1`) });
      for (const dataParallel of inTurn([2, 3], turn)) {
        const outputs = ["first", "again"].map((run) => join(folder, `${name} ${dataParallel} ${run}`));
        const runs = [];
        for (const output of outputs) runs.push(await runTiny({ ...input, output, dataParallel }));
        assertClose(lossesOf(runs[0]!.events), lossesOf(one.events));
        assertClose(normsOf(runs[0]!.events), normsOf(one.events));
        assert.deepEqual(normsOf(runs[1]!.events), normsOf(runs[0]!.events));
        const file = settings["method"] === "full" ? "model.safetensors" : RESULT;
        assert.ok(bytesOf(outputs[0]!, file).equals(bytesOf(outputs[1]!, file)));
      }
    });
  }

  test("a run that was stopped goes on bit-equal, and only with as many at once", async () => {
    const output = join(folder, "resumed");
    const input = {
      ...STEP,
      model,
      data: texts,
      output,
      dropout: 0.3,
      dataParallel: 2,
      saveEvery: 1,
      keepLast: 9,
    };
    const whole = await runTiny(input);
    const result = bytesOf(output, RESULT);
    for (const step of [2, 3]) rmSync(join(output, `checkpoint-${step}`), { recursive: true });
    await assert.rejects(runTiny({ ...input, resume: true, dataParallel: undefined, seed: 1 }), /seed/);
    const resumed = await runTiny({ ...input, resume: true });
    assert.deepEqual(lossesOf(resumed.events), lossesOf(whole.events).slice(1));
    assert.ok(bytesOf(output, RESULT).equals(result));
  });

  test("a plan counts activations, scratch and gradients of each lane, and what lanes share once", async () => {
    const partsOf = async (dataParallel: number): Promise<MemoryParts> => {
      const input = { ...STEP, model, data: texts, output: join(folder, "planned"), dataParallel };
      const options = parseTrainOptions(input);
      const opened = await openRun(options);
      try {
        return (await breathing(planMemory(memoryRequest(settleRun(opened)), true))).parts;
      } finally {
        await opened.checkpoint.close();
      }
    };
    const [one, two] = [await partsOf(1), await partsOf(2)];
    for (const part of ["activations", "gradients"] as const) assert.equal(two[part], 2 * one[part], part);
    for (const part of ["weights", "trained", "optimizer"] as const) assert.equal(two[part], one[part], part);
    assert.ok(two.scratch > one.scratch);
  });

  const REFUSED: readonly (readonly [TrainInput | object, RegExp])[] = [
    [{ gradientAccumulationSteps: 1 }, /a step has 1, expected at least as many/],
    [{ residentMemory: "1GB" }, /: --resident-memory supports only one/],
    [{ activations: "disk" }, /: --activations disk supports/],
    [{ powerSchedule: "0-:10" }, /pauses/],
  ];
  for (const [settings, message] of REFUSED) {
    test(`${JSON.stringify(settings)} beside it is refused, and nothing is written`, async () => {
      const output = join(folder, "refused");
      const input = { ...STEP, model, data: texts, output, dataParallel: 2, ...settings };
      await assert.rejects(runTiny(input), { code: "usage/flag", message });
      assert.ok(!existsSync(join(output, "config.yaml")));
    });
  }

  test("a lane that fails ends the run with its error when the others are done, and the session serves on", async () => {
    const { base, checkpoint } = await loadModel(model);
    const engine = createEngine({ threads: 2 });
    const session = new Session(engine, base);
    const options = lora.options.parse({ rank: 4 });
    const adapter = await attach(base, { method: lora, options }, new Random(0));
    let numBlocks = 0;
    const asked = requestFor(session, adapter);
    // Each row is a micro-batch.
    const microBatches: typeof asked.plan.microBatches = (step) =>
      asked.plan.microBatches(step).flatMap((rows) => rows.map((row) => [row]));
    const request = { ...asked, plan: { ...asked.plan, microBatches }, evaluation: null, numLanes: 2 };
    const failing = {
      ...request,
      hooks: {
        ...request.hooks,
        betweenBlocks: () => (++numBlocks === 3 ? Promise.reject(new Error("no more")) : Promise.resolve()),
      },
    };
    await assert.rejects(async () => {
      for await (const _event of fineTune(failing));
    }, /no more/);
    const events: string[] = [];
    for await (const { event } of fineTune(request)) events.push(event);
    assert.deepEqual(events, ["step", "step", "step"]);
    await session.release();
    await checkpoint.close();
  });
});
