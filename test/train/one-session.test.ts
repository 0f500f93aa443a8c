/** @file Training, evaluation and generation on one session, between steps and between blocks: the bits of each alone. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { toBatch } from "../../src/data/batches/batch.ts";
import { Generator } from "../../src/engine/generation/generator.ts";
import { makeSampleWriter } from "../../src/engine/sample-writer.ts";
import { readAdapter } from "../../src/format/by-path.ts";
import { FAMILIES } from "../../src/models/families.ts";
import { findSchedule } from "../../src/optim/schedules.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { Session } from "../../src/run/session.ts";
import type { Residency } from "../../src/run/weights/weights.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import type { TrainEvent } from "../../src/train/events.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import { fineTune } from "../../src/train/loop/fine-tune.ts";
import type { FineTuneRequest } from "../../src/train/loop/fine-tune-request.ts";
import { NO_STORE } from "../../src/train/loop/run-store.ts";
import { unitsToBatch } from "../../src/train/step/micro-batch.ts";
import { parseTrainOptions } from "../../src/train/settings/options.ts";
import { train } from "../../src/train/trainer.ts";
import { attachTo, perturb, randomExamples } from "../passes/model-passes.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { requestFor } from "./fine-tune-request.ts";
import { setUpRun } from "./set-up-run.ts";
import { TINY_RUN, lossesOf, runTiny } from "./tiny-run.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const engine = createEngine({ threads: 1 });
const shared = sharePrograms(engine);
const folder = temporaryFolder();
const PROMPT = [5, 99, 23, 7, 42, 11];

/** Losses of steps and evaluations, and what was trained. */
async function trained(request: FineTuneRequest): Promise<{ losses: number[]; values: Float32Array }> {
  const losses: number[] = [];
  for await (const event of fineTune(request)) if (event.event !== "sample") losses.push(event.loss);
  return { losses, values: valuesOf(request.adapter) };
}

const CASES: readonly [modelType: string, Residency, recompute: boolean][] = [
  ...FAMILIES.map(({ modelType }) => modelType)
    .filter((modelType) =>
      /ForCausalLM|LMHeadModel|ForConditional/.test(String(TINY_CONFIGS[modelType]?.["architectures"])),
    )
    .map((modelType): [string, Residency, boolean] => [modelType, "stored", false]),
  ["llama", "stored", true],
  ["llama", "float32", false],
];

for (const [modelType, residency, recompute] of CASES) {
  describe(`${modelType} on one session, weights ${residency}, activations ${recompute ? "computed again" : "kept"}`, async () => {
    const { base } = await openUntilEnd(
      await writeTinyModel(`${folder}/${modelType}-${residency}-${recompute}`, { modelType }),
    );

    test("training beside evaluation and generation gives the bits of each alone", async () => {
      const start = (): Promise<Adapter> => attachTo(base, lora, { dropout: 0.2 });
      const other = await attachTo(base, lora, { rank: 4 }, null, 9);
      perturb(other, 0.1);
      const units = randomExamples([7, 4], 5);
      const open = (): Session => new Session(shared, base, residency);

      const alone = open();
      const expected = await trained(requestFor(alone, await start(), recompute));
      const { loss } = await (await Evaluator.create(alone, other)).evaluate(units);
      const { ids } = await (
        await Generator.create({ session: alone, adapter: null })
      ).complete({ promptIds: PROMPT, maxNewTokens: 4 });
      await alone.release();

      const session = open();
      const evaluator = await Evaluator.create(session, other);
      const generator = await Generator.create({ session, adapter: null });
      let [numEvaluated, numWritten, numCalls] = [0, 0, 0];
      const write = (): ReturnType<typeof generator.generate> =>
        generator.generate({ promptIds: PROMPT, maxNewTokens: 4 });
      let text = write();
      let written: number[] = [];
      // One token between two blocks, or an evaluation.
      const betweenBlocks = async (): Promise<void> => {
        if (numCalls++ % 3 === 2) {
          numEvaluated++;
          assert.equal((await evaluator.evaluate(units)).loss, loss);
          return;
        }
        const next = await text.next();
        if (!next.done) {
          written.push(next.value.id);
          return;
        }
        assert.deepEqual(written, ids);
        numWritten++;
        [text, written] = [write(), []];
      };
      const request = requestFor(session, await start(), recompute);
      const together = await trained({ ...request, hooks: { ...request.hooks, betweenBlocks } });
      assert.deepEqual(together, expected);
      assert.ok(numEvaluated > 2 && numWritten > 0, `${numEvaluated} evaluations, ${numWritten} texts`);
      await session.release();
    });
  });
}

/** An engine that counts its programs which are there; after so many it compiles no more. */
function countPrograms(most = Infinity): { readonly counting: Engine; readonly numCompiled: () => number } {
  let [numCompiled, left] = [0, most];
  const compile: Engine["compile"] = async (spec, options) => {
    if (left-- === 0) throw new Error("no more");
    const program = await engine.compile(spec, options);
    numCompiled++;
    return {
      ...program,
      run: (feeds, results) => program.run(feeds, results),
      release: async () => {
        await program.release();
        numCompiled--;
      },
    };
  };
  return { counting: { ...engine, compile }, numCompiled: () => numCompiled };
}

test("the result is written when the programs of steps are gone, with their memory", async () => {
  const { base } = await openUntilEnd(await writeTinyModel(`${folder}/programs`));
  const { counting, numCompiled } = countPrograms();
  const session = new Session(counting, base);
  const left: number[] = [];
  const finish = async (): Promise<void> => {
    await session.release();
    left.push(numCompiled());
  };
  const request = { ...requestFor(session, await attachTo(base, lora)), store: { ...NO_STORE, finish } };
  await trained(request);
  assert.deepEqual(left, [0]);
});

test("without held-out data the last checkpoint costs a forward pass, by the programs of steps", async () => {
  const { base } = await openUntilEnd(await writeTinyModel(`${folder}/looked-at`));
  const { counting, numCompiled } = countPrograms();
  const session = new Session(counting, base);
  const request = requestFor(session, await attachTo(base, lora));
  let numPauses = 0;
  const seen: { numPauses: number; numPrograms: number }[] = [];
  const look = (): void => void seen.push({ numPauses, numPrograms: numCompiled() });
  const save = async (): Promise<void> => look();
  const betweenBlocks = async (): Promise<void> => void numPauses++;
  const hooks = { ...request.hooks, betweenBlocks };
  const store = { ...NO_STORE, save };
  for await (const event of fineTune({ ...request, evaluation: null, totalSteps: 1, hooks, store }))
    if (event.event === "step") look();
  await session.release();
  const [step, checkpoint] = seen;
  assert.equal(seen.length, 2);
  // One before each block, and one before the head.
  const { numLayers } = base.model;
  assert.equal(step!.numPauses, 2 * numLayers + 1);
  assert.deepEqual(checkpoint, { ...step, numPauses: 3 * numLayers + 2 });
});

test("a run that cannot go on from its checkpoint leaves no program on a session that others use", async () => {
  const { base } = await openUntilEnd(await writeTinyModel(`${folder}/refused`));
  const { counting, numCompiled } = countPrograms();
  const session = new Session(counting, base);
  const resume = (): Promise<never> => Promise.reject(new Error("damaged"));
  const request = { ...requestFor(session, await attachTo(base, lora)), store: { ...NO_STORE, resume } };
  await assert.rejects(trained(request), /damaged/);
  await session.release();
  assert.equal(numCompiled(), 0);
});

test("a run leaves no program, whichever of them cannot be compiled", async () => {
  const { base } = await openUntilEnd(await writeTinyModel(`${folder}/compiled`));
  const adapter = await attachTo(base, lora);
  const fails = async (most: number): Promise<boolean> => {
    const { counting, numCompiled } = countPrograms(most);
    const session = new Session(counting, base);
    const request = { ...requestFor(session, adapter), totalSteps: 1, numLanes: 2 };
    const error = await trained(request).then(
      () => null,
      (thrown: Error) => thrown,
    );
    if (error !== null) assert.equal(error.message, "no more");
    await session.release();
    assert.equal(numCompiled(), 0, `after ${most} programs`);
    return error !== null;
  };
  let most = 0;
  while (await fails(most)) most++;
  assert.ok(most > 0);
});

test("a run on a session that others use leaves nothing of it, whatever its structure", async () => {
  const model = await writeTinyModel(`${folder}/borrowed`);
  const { base } = await openUntilEnd(model);
  const { counting, numCompiled } = countPrograms();
  const session = new Session(counting, base);
  const numLeft: number[] = [];
  let numPrograms = 0;
  const betweenBlocks = async (): Promise<void> => void (numPrograms = Math.max(numPrograms, numCompiled()));
  const data = writeTinyChats(`${folder}/borrowed.jsonl`, 4);
  for (const rank of [2, 3]) {
    const output = `${folder}/borrowed-${rank}`;
    const input = { model, data, output, rank, steps: 1, samples: ["A prompt"], sampleTokens: 2 };
    const { events } = await runTiny(input, { shared: { session, betweenBlocks }, makeSampleWriter });
    assert.ok(events.some(({ event }) => event === "sample"));
    numLeft.push(numCompiled(), session.pool.allocatedBytes);
  }
  assert.ok(numPrograms > 0);
  assert.deepEqual(numLeft, [0, 0, 0, 0]);
  await session.release();
});

test("a run is refused the session of another model than its settings name, before it writes anything", async () => {
  const { base } = await openUntilEnd(await writeTinyModel(`${folder}/open`));
  const model = await writeTinyModel(`${folder}/named`, { seed: 9 });
  const session = new Session(engine, base);
  const [data, output] = [writeTinyChats(`${folder}/named.jsonl`, 4), `${folder}/of-another`];
  await assert.rejects(
    runTiny({ model, data, output, steps: 1 }, { shared: { session, betweenBlocks: async () => {} } }),
    {
      code: "usage/model",
      message: /^Cannot train model ".*named" on the open model ".*open": their numbers differ/,
    },
  );
  assert.ok(!existsSync(output));
  await session.release();
});

test("a run on a base that others use gives back the codes that it made of it, also where a hook throws", async () => {
  const model = await writeTinyModel(`${folder}/codes`);
  const { base } = await openUntilEnd(model);
  const { counting, numCompiled } = countPrograms();
  const session = new Session(counting, base);
  const data = writeTinyChats(`${folder}/codes.jsonl`, 4);
  const numHeld: number[] = [];
  const run = (output: string, onEvent: () => void): ReturnType<typeof runTiny> => {
    const settings = { method: "peqa", rank: undefined, steps: 1 };
    const lent = { session, betweenBlocks: async () => void numHeld.push(base.derived.keys().length) };
    return runTiny({ model, data, output, ...settings }, { shared: lent, onEvent });
  };
  await run(`${folder}/codes-whole`, () => {});
  assert.ok(Math.max(...numHeld) > 0);
  assert.deepEqual([base.derived.keys(), numCompiled()], [[], 0]);
  const fail = (): void => {
    if (numCompiled() > 0) throw new Error("nobody listens");
  };
  await assert.rejects(run(`${folder}/codes-cut`, fail), /nobody listens/);
  assert.deepEqual([base.derived.keys(), numCompiled()], [[], 0]);
  await session.release();
});

test("an async hook that rejects ends the run, as one that throws does", async () => {
  const model = await writeTinyModel(`${folder}/heard`);
  const data = writeTinyChats(`${folder}/heard.jsonl`, 4);
  for (const last of ["step", "done"]) {
    const told: string[] = [];
    const onEvent = async ({ event }: TrainEvent): Promise<void> => {
      told.push(event);
      if (event === last) throw new Error("nobody listens");
    };
    const output = `${folder}/heard-${last}`;
    await assert.rejects(
      train({ ...TINY_RUN, model, data, steps: 3, output }, { onEvent }),
      /nobody listens/,
    );
    assert.deepEqual(
      [told.at(-1), told.filter((event) => event === "step").length],
      [last, last === "step" ? 1 : 3],
    );
  }
});

test("fineTune() without a store trains what train() writes", async () => {
  const model = await writeTinyModel(`${folder}/for-train`);
  const data = writeTinyChats(`${folder}/chats.jsonl`, 12);
  const evalData = writeTinyChats(`${folder}/held-out.jsonl`, 4, 2);
  for (const packing of [false, true]) {
    const output = `${folder}/out-${packing}`;
    const input = { ...TINY_RUN, model, data, evalData, evalEvery: 2, packing, learningRate: 0.01, output };
    const { events, result } = await runTiny(input);
    const options = parseTrainOptions(input);
    const setup = await setUpRun(options);
    const { base, adapter, plan, totalSteps, objective, optimizer, optimizerOptions } = setup;
    const session = new Session(engine, base);
    const request: FineTuneRequest = {
      ...requestFor(session, adapter, setup.memory.recompute),
      plan,
      totalSteps,
      toBatch: (rows) => (packing ? toBatch(rows as never) : unitsToBatch(rows.flat())),
      maxLength: setup.options.maxLength,
      objective,
      optimizer: {
        optimizer,
        options: optimizerOptions,
        schedule: findSchedule(options.schedule),
        learningRate: setup.options.learningRate,
        warmupSteps: setup.options.warmupSteps,
        weightDecay: options.weightDecay,
        maxGradNorm: options.maxGradNorm,
      },
      evaluation: { units: setup.data.heldOut ?? [], everySteps: 2, patience: null },
      seed: options.seed,
    };
    const { losses, values } = await trained(request);
    assert.deepEqual(
      losses,
      events.flatMap((event) => (event.event === "step" || event.event === "eval" ? [event.loss] : [])),
    );
    assert.ok(lossesOf(events).length === totalSteps && result.evaluation !== null);
    const { adapter: read } = await readAdapter(output, base);
    assert.deepEqual(values, valuesOf(read));
    await session.release();
    await setup.origin.checkpoint.close();
  }
});
