/** @file Training with DropBP through the front door: what changes, what does not, and that a run goes on bit-equal. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { StepEvent, TrainEvent } from "../../src/train/events.ts";
import type { RunState } from "../../src/train/loop/run-state.ts";
import { loadModel } from "../../src/format/by-path.ts";
import { attach } from "../../src/peft/attach.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { NEEDED_OPTIONS } from "../passes/model-passes.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { Random } from "../../src/random.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { SENSITIVITIES } from "../../src/train/dropbp/sensitivity.ts";
import { fineTune } from "../../src/train/loop/fine-tune.ts";
import { sampled } from "../matrix/sampled.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { requestFor } from "./fine-tune-request.ts";
import { lossesOf, runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
const data = writeTinyChats(join(folder, "chats.jsonl"), 12);
let model: string;
before(async () => {
  model = await writeTinyModel(join(folder, "model"));
});
const stateOf = (output: string): RunState =>
  JSON.parse(readFileSync(join(output, "trainer_state.json"), "utf8")) as RunState;
const stepsOf = (events: readonly TrainEvent[]): StepEvent[] =>
  events.flatMap((event) => (event.event === "step" ? [event] : []));

describe("graft train --dropbp", () => {
  test("the first loss is that without, later ones are others; rates, draws and a picture are kept", async () => {
    const shared = { model, data, steps: 12, learningRate: 0.01, dropout: 0.3 };
    const plain = await runTiny({ ...shared, output: join(folder, "plain") });
    const output = join(folder, "dropped");
    const { events } = await runTiny({ ...shared, output, dropbp: 0.5 });
    assert.equal(lossesOf(events)[0], lossesOf(plain.events)[0]);
    assert.notEqual(lossesOf(events)[5], lossesOf(plain.events)[5]);
    const { dropbp } = stateOf(output);
    assert.ok(dropbp?.sensitivities);
    assert.equal(dropbp.branches[0], "0.attention");
    assert.equal(dropbp.steps, 12);
    assert.ok(dropbp.sensitivities.every((each) => each > 0));
    assert.ok(dropbp.rates.every((rate) => rate <= 0.9 && Number.isInteger(Math.round(10 * rate))));
    // At least the target share of the branches is out in every step.
    assert.ok(dropbp.dropped.reduce((sum, count) => sum + count, 0) >= 0.5 * 12 * dropbp.branches.length);
    assert.ok(stepsOf(events).every(({ drop_rate: rate }) => rate !== undefined && rate > 0 && rate <= 1));
    assert.match(readFileSync(join(output, "dropbp.svg"), "utf8"), /0\.attention/);
    assert.ok(!existsSync(join(folder, "plain", "dropbp.svg")));
    assert.equal(stateOf(join(folder, "plain")).dropbp, null);
  });

  test("branches are measured once, after a tenth of the steps, which leaves parameters, order and dropout as they are", async () => {
    const input = { model, data, steps: 20, dropbp: 0.5, dropout: 0.5, saveEvery: 1, keepLast: 20 };
    const losses: number[][] = [];
    for (const dropbpRates of ["uniform", "norm"] as const) {
      const output = join(folder, `measured-${dropbpRates}`);
      losses.push(lossesOf((await runTiny({ ...input, output, dropbpRates })).events));
      const after = [2, 3, 20].map((step) => stateOf(join(output, `checkpoint-${step}`)).dropbp!);
      const sensitivities = after.map((each) => each.sensitivities);
      if (dropbpRates === "uniform") assert.deepEqual(sensitivities, [null, null, null]);
      else {
        assert.equal(sensitivities[0], null);
        assert.ok(sensitivities[1]?.every((each) => each > 0));
        assert.deepEqual(sensitivities[2], sensitivities[1]);
        assert.deepEqual(after[0]!.rates, [0.5, 0.5, 0.5, 0.5]);
        assert.notDeepEqual(after[1]!.rates, after[0]!.rates);
      }
    }
    // The step after the measurement still has the loss of the parameters before it.
    assert.deepEqual(losses[1]!.slice(0, 3), losses[0]!.slice(0, 3));
    assert.notEqual(losses[1]![3], losses[0]![3]);
  });

  for (const dropbpRates of ["norm", "gradient"] as const) {
    test(`${dropbpRates}: each measurement drops out the same, so that what gradients do not miss has a sensitivity of 0`, async () => {
      const output = join(folder, `top-${dropbpRates}`);
      const input = { model, data, steps: 4, dropbp: 0.5, dropout: 0.5, layers: [1], dropbpRates };
      await runTiny({ ...input, output });
      const { branches, sensitivities } = stateOf(output).dropbp!;
      for (const [i, branch] of branches.entries()) {
        if (branch.startsWith("0.")) assert.equal(sensitivities?.[i], 0, branch);
        else assert.ok(sensitivities![i]! > 0, branch);
      }
    });
  }

  test("sensitivities that cost more than half of the run are told of, where they are measured", async () => {
    const notesOf = async (steps: number, more: object): Promise<string[]> => {
      const output = join(folder, "noted");
      rmSync(output, { recursive: true, force: true });
      const { events } = await runTiny({ model, data, output, steps, dropbp: 0.5, ...more });
      return events.flatMap((event) => (event.event === "note" ? [event.message] : []));
    };
    const [note] = (await notesOf(3, {})).filter((text) => text.includes("sensitivity of branches"));
    assert.match(
      note ?? "",
      /takes 4 full backward passes .* in a run of 3 micro-batches: `--dropbp-rates uniform`/,
    );
    for (const [steps, more] of [
      [1, {}],
      [3, { dropbpRates: "uniform" }],
      [4, {}],
      [2, { gradientAccumulationSteps: 2 }],
    ] as const) {
      assert.deepEqual(
        (await notesOf(steps, more)).filter((text) => text.includes("sensitivity of branches")),
        [],
      );
    }
  });

  for (const [name, saveEvery] of [
    ["before", 1],
    ["after", 4],
  ] as const) {
    test(`a run that was stopped ${name} its sensitivities were measured goes on bit-equal`, async () => {
      const output = join(folder, `resumed-${name}`);
      const input = { model, data, output, steps: 20, dropbp: 0.7, saveEvery, keepLast: 30 };
      const whole = await runTiny(input);
      const [adapter, log] = ["adapter_model.safetensors", "trainer_state.json"].map((file) =>
        readFileSync(join(output, file)),
      );
      const kept = name === "before" ? 1 : 8;
      for (let step = kept + 1; step <= 20; step++) {
        rmSync(join(output, `checkpoint-${step}`), { recursive: true, force: true });
      }
      const { events } = await runTiny({ ...input, resume: true });
      assert.deepEqual(lossesOf(events), lossesOf(whole.events).slice(kept));
      assert.deepEqual(readFileSync(join(output, "adapter_model.safetensors")), adapter);
      const [then, now] = [JSON.parse(String(log)) as RunState, stateOf(output)];
      assert.deepEqual(now.dropbp, then.dropbp);
    });
  }

  for (const [name, settings] of Object.entries({
    "8-bit products": { compute: "int8" },
    packing: { packing: true },
    recomputation: { gradientCheckpointing: "on" },
    "all of them": { compute: "int8", packing: true, gradientCheckpointing: "on" },
  } as const)) {
    test(`a run with ${name} that is stopped in between goes on bit-equal`, async () => {
      const input = { model, data, steps: 14, dropbp: 0.7, ...settings };
      const [whole, parts] = [join(folder, `${name}-whole`), join(folder, `${name}-parts`)];
      const { events } = await runTiny({ ...input, output: whole });
      const stop = new AbortController();
      const onEvent = ({ event, step }: { event: string; step?: number }): void => {
        if (event === "step" && step === 6) stop.abort();
      };
      await assert.rejects(runTiny({ ...input, output: parts }, { signal: stop.signal, onEvent }), {
        code: "train/stopped",
      });
      const resumed = await runTiny({ ...input, output: parts, resume: true });
      assert.deepEqual(lossesOf(resumed.events), lossesOf(events).slice(6));
      const result = "adapter_model.safetensors";
      assert.ok(readFileSync(join(parts, result)).equals(readFileSync(join(whole, result))));
      assert.deepEqual(stateOf(parts).dropbp, stateOf(whole).dropbp);
    });
  }

  test("each micro-batch of a step leaves out others, so that a step misses little", async () => {
    const output = join(folder, "micro");
    const more = { dropbp: 0.5, dropbpRates: "uniform" as const, gradientAccumulationSteps: 8, batchSize: 1 };
    const { events } = await runTiny({ model, data, output, steps: 2, ...more });
    const { dropbp } = stateOf(output);
    assert.equal(dropbp?.steps, 2);
    // The epoch has twelve examples: eight, and the other four.
    assert.equal(dropbp?.passes, 12);
    assert.ok(
      dropbp?.dropped.every((count) => count > 0 && count < 12),
      String(dropbp?.dropped),
    );
    const rates = stepsOf(events).map(({ drop_rate: rate }) => rate ?? Number.NaN);
    assert.ok(
      rates.every((rate) => rate > 0.4 && rate < 0.9),
      String(rates),
    );
  });

  test("every method, with accumulation and recomputed activations", async () => {
    for (const { name: method } of sampled(METHODS, (_, i) => i % 2 === 1)) {
      const input = {
        model,
        data,
        dropbp: 0.5,
        steps: 2,
        gradientAccumulationSteps: 2,
      };
      const more = { gradientCheckpointing: "on", dropbpRates: "gradient" };
      const own = { ...NEEDED_OPTIONS[method], ...(method !== "lora" && { rank: undefined }) };
      const output = join(folder, method);
      const run = runTiny({ ...input, ...own, ...more, method, output } as never);
      if (method === "trainable-tokens") {
        await assert.rejects(run, { code: "usage/flag", message: /none of them has a trained parameter/ });
        continue;
      }
      const { events } = await run;
      assert.ok(lossesOf(events).every(Number.isFinite));
      assert.ok(stateOf(output).dropbp?.sensitivities, method);
    }
  });

  test("steps that drop everything are counted and train nothing", async () => {
    const output = join(folder, "skipped");
    const input = { model, data, output, steps: 30, dropbp: 0.75, dropbpRates: "uniform" as const };
    const { events } = await runTiny(input);
    const { dropbp } = stateOf(output);
    const idle = stepsOf(events).filter(({ drop_rate: rate }) => rate === 1);
    assert.ok(idle.length > 3 && idle.length < 30, `${idle.length} of 30`);
    assert.equal(dropbp?.skipped, idle.length);
    const told = events.flatMap((event) => (event.event === "note" ? [event.message] : []));
    assert.ok(
      told.at(-1)?.startsWith(`DropBP dropped everything that is trained in ${idle.length} of 30 steps`),
      told.join("\n"),
    );
    assert.ok(idle.every(({ grad_norm: norm }) => norm === 0));
  });

  test("at the largest share every branch has the largest rate", async () => {
    const five = await writeTinyModel(join(folder, "five"), { config: { num_hidden_layers: 5 } });
    for (const dropbpRates of ["norm", "uniform"] as const) {
      const output = join(folder, `most-${dropbpRates}`);
      const { result } = await runTiny({ model: five, data, output, steps: 12, dropbp: 0.9, dropbpRates });
      assert.equal(result.steps, 12);
      assert.deepEqual(stateOf(output).dropbp?.rates, Array(10).fill(0.9));
    }
  });

  test("a run that is to stop while branches are measured stops there, and gives back what it had of the memory of another", async () => {
    const { base, checkpoint } = await loadModel(model);
    const lender = new Session(createEngine({ threads: 1 }), base);
    const session = lender.withOwnPrograms();
    const adapter = await attach(base, { method: lora, options: { rank: 2 } }, new Random(1));
    const sensitivity = SENSITIVITIES[0]!;
    const stop = new AbortController();
    let [isMeasuring, numBlocks] = [false, 0];
    const betweenBlocks = async (): Promise<void> => {
      if (isMeasuring && ++numBlocks === 1) stop.abort();
    };
    const run = fineTune({
      ...requestFor(session, adapter),
      evaluation: null,
      dropBp: { rate: 0.5, sensitivity, length: 16 },
      hooks: {
        peakMegabytes: () => 0,
        betweenBlocks,
        // It saves then what it has, which takes a pass.
        rest: () => void (isMeasuring = false),
        signal: stop.signal,
      },
    });
    // After the first step of three.
    const first = await run.next();
    assert.ok(!first.done && first.value.event === "step");
    isMeasuring = true;
    await assert.rejects(run.next(), { code: "train/stopped", message: /after step 1 of 3/ });
    assert.ok(numBlocks <= 4, `${numBlocks} blocks, expected those of the pass forward`);
    await session.release();
    lender.pool.clear();
    assert.equal(lender.pool.allocatedBytes, 0);
    await lender.release();
    await checkpoint.close();
  });

  test("a rate that is no share, drops all branches or has none to drop is refused before anything is written", async () => {
    const run = (more: object): Promise<unknown> =>
      runTiny({ model, data, output: join(folder, "bad"), ...more });
    await assert.rejects(run({ dropbp: 0.95 }), { code: "usage/flag" });
    await assert.rejects(run({ dropbp: 0.8 }), { code: "usage/flag", message: /all 4 branches/ });
    await assert.rejects(run({ dropbp: -0.1 }), { code: "usage/flag" });
    await assert.rejects(run({ dropbpRates: "norm" }), {
      code: "usage/flag",
      message: /--dropbp-rates norm: no --dropbp is given/,
    });
    await assert.rejects(run({ dropbp: 0.5, targetModules: ["lm_head"] }), {
      code: "usage/flag",
      message: /none of them/,
    });
    assert.ok(!existsSync(join(folder, "bad")));
  });
});
