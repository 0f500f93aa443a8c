/** @file A training's forward passes that take along what texts run next: all are what each is alone, in fewer products. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { attachTo, perturb } from "../../test/passes/model-passes.ts";
import { TINY_CONFIGS } from "../../test/tiny/configs.ts";
import { temporaryFolder, writeTinyModel } from "../../test/tiny/model.ts";
import { makeExample } from "../data/examples/example.ts";
import { toBatch } from "../data/batches/batch.ts";
import { matmulPartsOp } from "../graph/ops/products/matmul-parts.ts";
import { type ProgramSpec, nodesOf } from "../graph/program.ts";
import { loadModel } from "../format/by-path.ts";
import type { BaseModel } from "../models/base/base-model.ts";
import { openModel } from "../models/families.ts";
import type { Adapter } from "../peft/attach.ts";
import { findMethod } from "../peft/methods.ts";
import { Session } from "../run/session.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { Evaluator } from "../train/evaluate.ts";
import { StepRunner } from "../train/step/step-runner.ts";
import { AdapterPool } from "./adapters/adapter-pool.ts";
import type { HeldAdapter } from "./adapters/held-adapter.ts";
import { findPolicy } from "./scheduling/turn-policies.ts";
import { ServingEngine } from "./serving/serving-engine.ts";
import type { ServeRequest } from "./serving/serve-request.ts";
import { openServingModel } from "./serving-model.ts";

const root = temporaryFolder();

const example = (ids: readonly number[]) => makeExample([...ids], (i) => i > 2, { file: "x", line: 1 });
const idsFrom = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, t) => 33 + ((7 * t + first) % 90));
/** Two rows of unlike length, one of them of two texts. */
const BATCH = toBatch([[example(idsFrom(1, 9)), example(idsFrom(5, 8))], [example(idsFrom(3, 14))]]);
const UNITS = [example(idsFrom(2, 12)), example(idsFrom(8, 7))];
const PROMPTS = [idsFrom(4, 5), idsFrom(1, 3), idsFrom(9, 60), idsFrom(6, 21)];
const METHODS = { lora: { rank: 2 }, dora: { rank: 2 }, road: {}, ia3: {}, bitfit: {}, full: {} };

/** Texts and trainings on one session, of which forward passes take texts along. */
class Both {
  readonly session: Session;
  readonly serving: ServingEngine;
  /** Shapes [B, T, D] of what went along with each pass. */
  readonly rides: (readonly (readonly number[])[])[] = [];
  readonly specs: ProgramSpec[] = [];

  /** Is called before each block of a pass that takes texts along. */
  onBlock: (layer: number) => void = () => {};

  constructor(base: BaseModel) {
    const engine = createEngine({ threads: 1 });
    const compile: typeof engine.compile = (spec, options) => {
      this.specs.push(spec);
      return engine.compile(spec, options);
    };
    this.session = new Session({ ...engine, compile }, base, "float32");
    const adapters = new AdapterPool({ session: this.session, maxLoaded: 0 });
    this.serving = new ServingEngine(this.session, adapters, {
      cacheBytes: 4e6,
      prefillTokens: 8,
      policy: findPolicy("train-first"),
    });
    this.session.riders = {
      board: async () => {
        const ride = await this.serving.board();
        return (
          ride && {
            land: () => ride.land(),
            abandon: () => ride.abandon(),
            block: async (layer) => {
              this.onBlock(layer);
              const runs = await ride.block(layer);
              if (layer === 0) this.rides.push(runs.map(({ feeds }) => feeds["x"]?.shape ?? []));
              return runs;
            },
          }
        );
      },
    };
  }

  async write(request: Partial<ServeRequest>): Promise<readonly number[]> {
    const ids: number[] = [];
    for await (const { id } of this.serving.write({ promptIds: PROMPTS[0]!, maxNewTokens: 12, ...request }))
      ids.push(id);
    return ids;
  }

  /** Two passes and their gradients, log-probabilities first. */
  async train(adapter: Adapter, betweenBlocks?: () => Promise<void>): Promise<readonly Float32Array[]> {
    const runner = await StepRunner.create({
      session: this.session,
      adapter,
      recompute: false,
      seed: 1,
      betweenBlocks,
    });
    runner.gradients.begin();
    const found: Float32Array[] = [];
    for (const micro of [0, 1, 2]) {
      const derivatives = new Float32Array(BATCH.numLabels).fill(-1 / BATCH.numLabels);
      found.push(await runner.accumulate(BATCH, derivatives, { step: 0, micro }, { isLast: micro === 2 }));
    }
    runner.gradients.finish();
    for (const { group, values } of runner.gradients.groups)
      for (const { offset, length } of group.parameters)
        found.push(await values.read(offset, offset + length));
    await runner.release();
    return found;
  }

  async evaluate(adapter: Adapter, betweenBlocks?: () => Promise<void>): Promise<number> {
    const evaluator = await Evaluator.create(this.session, adapter, { betweenBlocks });
    return (await evaluator.evaluate(UNITS)).loss;
  }

  async close(): Promise<void> {
    await this.serving.close();
    await this.serving.adapters.close();
    await this.session.release();
  }
}

let numOpened = 0;
async function openBoth(modelType = "llama"): Promise<{ readonly both: Both; readonly base: BaseModel }> {
  const path = await writeTinyModel(join(root, `model-${numOpened++}`), { modelType });
  const { base, checkpoint } = await loadModel(path);
  const both = new Both(base);
  after(async () => {
    await both.close();
    await checkpoint.close();
  });
  return { both, base };
}

/** Holds numbers against those that they are to be, by the largest of them. */
function assertNear(actual: readonly Float32Array[], expected: readonly Float32Array[]): void {
  assert.equal(actual.length, expected.length);
  for (const [i, values] of expected.entries()) {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const [j, value] of values.entries())
      assert.ok(Math.abs(actual[i]![j]! - value) <= 1e-6 * largest, `${i}, ${j}: ${actual[i]![j]}, ${value}`);
  }
}

/** Trains, evaluates and writes texts, each alone and then together: they are to be the same. */
async function checkTogether(
  both: Both,
  adapters: readonly Adapter[],
  requests: readonly Partial<ServeRequest>[],
): Promise<void> {
  const alone: { readonly found: readonly Float32Array[]; readonly loss: number }[] = [];
  for (const adapter of adapters)
    alone.push({ found: await both.train(adapter), loss: await both.evaluate(adapter) });
  const texts: (readonly number[])[] = [];
  for (const request of requests) texts.push(await both.write(request));
  assert.equal(both.rides.length, 0);
  const trainings = adapters.map((adapter, i) => async (betweenBlocks: () => Promise<void>) => {
    const found = await both.train(adapter, betweenBlocks);
    const loss = await both.evaluate(adapter, betweenBlocks);
    assertNear([...found, Float32Array.of(loss)], [...alone[i]!.found, Float32Array.of(alone[i]!.loss)]);
  });
  assert.deepEqual(await begin(both, requests, trainings), texts);
  assert.equal(both.serving.stats.numPagesHeld, 0);
}

async function makeAdapter(base: BaseModel, method: string, options: object, seed = 1): Promise<Adapter> {
  const adapter = await attachTo(base, findMethod(method), options, null, seed);
  perturb(adapter, 0.3, seed);
  return adapter;
}

/** Begins texts and trainings in such a way that the first pass finds texts; returns what is written. */
async function begin(
  both: Both,
  requests: readonly Partial<ServeRequest>[],
  trainings: readonly ((betweenBlocks: () => Promise<void>) => Promise<void>)[],
): Promise<readonly (readonly number[])[]> {
  const gate = both.serving.turns.training();
  await gate.betweenBlocks();
  const writing = requests.map((request) => both.write(request));
  const asked = trainings.map(() => Promise.withResolvers<void>());
  const training = trainings.map(async (train, i) => {
    const { betweenBlocks, rest } = both.serving.turns.training();
    const tell = (): Promise<void> => {
      asked[i]!.resolve();
      return betweenBlocks();
    };
    await train(tell).finally(rest);
  });
  await Promise.all(asked.map(({ promise }) => promise));
  gate.rest();
  await Promise.all(training);
  return await Promise.all(writing);
}

const PLAIN = PROMPTS.map((promptIds) => ({ promptIds }));

for (const [modelType, config] of Object.entries(TINY_CONFIGS)) {
  if (openModel(config).task !== "causal-lm") continue;
  test(`${modelType}: a training, an evaluation, prompts and next tokens in one pass are each alone`, async () => {
    const { both, base } = await openBoth(modelType);
    await checkTogether(both, [await makeAdapter(base, "lora", { rank: 2, dropout: 0.2 })], PLAIN);
    const rides = JSON.stringify(both.rides);
    assert.ok(
      both.rides.some(({ length }) => length === 2),
      `a prompt beside next tokens: ${rides}`,
    );
    assert.ok(
      both.rides.flat().some(([rows = 0]) => rows > 1),
      `several next tokens: ${rides}`,
    );
  });
}

for (const [method, options] of Object.entries(METHODS)) {
  test(`${method} is trained beside texts as it is alone`, async () => {
    const { both, base } = await openBoth();
    await checkTogether(both, [await makeAdapter(base, method, options)], PLAIN);
    assert.ok(both.rides.length > 0);
  });
}

test("texts have adapters of their own, in programs that can go along and others", async () => {
  const { both, base } = await openBoth();
  const held: (HeldAdapter | null)[] = [null];
  for (const [i, [method, options]] of Object.entries({ ...METHODS, snell: {} }).entries()) {
    if (method === "full") continue;
    const adapter = await makeAdapter(base, method, options, 10 + i);
    held.push(await both.serving.adapters.hold(adapter));
  }
  const requests = held.map((adapter, i) => ({ promptIds: PROMPTS[i % PROMPTS.length]!, adapter }));
  await checkTogether(both, [await makeAdapter(base, "lora", { rank: 3 })], requests);
});

test("two trainings take their turns, and each takes texts along", async () => {
  const { both, base } = await openBoth();
  const adapters = [
    await makeAdapter(base, "lora", { rank: 2 }),
    await makeAdapter(base, "dora", { rank: 3 }, 2),
  ];
  await checkTogether(both, adapters, [...PLAIN, ...PLAIN]);
});

test("rows of a training and of texts are multiplied once by each matrix of the base", async () => {
  const { both, base } = await openBoth();
  await checkTogether(both, [await makeAdapter(base, "lora", { rank: 2 })], PLAIN);
  const counts = both.specs
    .filter(({ name }) => name.includes("+"))
    .map((spec) => {
      const products = nodesOf(spec).filter(({ op }) => op === matmulPartsOp);
      const matrices = new Set(products.map(({ inputs: [matrix] }) => matrix));
      assert.equal(matrices.size, products.length);
      return products.length;
    });
  assert.deepEqual([...new Set(counts)], [7]);
});

test("a text that is cancelled while it goes along ends, and nobody else is touched", async () => {
  const { both, base } = await openBoth();
  const adapter = await makeAdapter(base, "lora", { rank: 2 });
  const expected = await both.train(adapter);
  const text = await both.write({});
  const stop = new AbortController();
  let numCancelled = 0;
  both.onBlock = (layer) => {
    if (layer !== 1 || both.rides.length < 2 || stop.signal.aborted) return;
    numCancelled++;
    stop.abort();
  };
  const requests = [{ signal: stop.signal, maxNewTokens: 200 }, {}];
  const [cancelled, whole] = await begin(both, requests, [
    async (betweenBlocks) => assertNear(await both.train(adapter, betweenBlocks), expected),
  ]);
  assert.equal(numCancelled, 1);
  assert.ok(cancelled!.length < 200);
  assert.deepEqual(whole, text);
  assert.equal(both.serving.stats.numPagesHeld, 0);
});

test("a text that cannot go on in a pass ends by its error, and nobody else is touched", async () => {
  const { both, base } = await openBoth();
  const adapter = await makeAdapter(base, "lora", { rank: 2 });
  const expected = await both.train(adapter);
  const text = await both.write({});
  const own = await makeAdapter(base, "lora", { rank: 2 }, 2);
  const view = own.forWriting();
  let isLost = false;
  const inputs: typeof view.inputs = (layer) => {
    if (isLost) throw new Error("lost");
    return view.inputs(layer);
  };
  const losing = { ...view, inputs };
  const held = await both.serving.adapters.hold({ ...own, forWriting: () => losing });
  // Not in the first pass, which takes the other text along alone.
  both.onBlock = (layer) => void (isLost = layer === 1 && both.rides.length > 1);
  const write = both.write.bind(both);
  let numLost = 0;
  both.write = async (request) => {
    if (request.adapter !== held) return await write(request);
    await assert.rejects(write(request), /lost/);
    numLost++;
    return [];
  };
  const [, whole] = await begin(
    both,
    [{ adapter: held, promptIds: PROMPTS[2]! }, {}],
    [async (betweenBlocks) => assertNear(await both.train(adapter, betweenBlocks), expected)],
  );
  assert.equal(numLost, 1);
  assert.deepEqual(whole, text);
  assert.ok(both.rides.length > 2, "texts go along with later passes");
  assert.equal(both.serving.stats.numPagesHeld, 0);
});

test("texts go on after a pass that has failed", async () => {
  const { both, base } = await openBoth();
  const text = await both.write({});
  const adapter = await makeAdapter(base, "lora", { rank: 2 });
  both.onBlock = (layer) => {
    if (layer === 1) throw new Error("lost");
  };
  const train = (betweenBlocks: () => Promise<void>): Promise<void> =>
    assert.rejects(both.train(adapter, betweenBlocks), /lost/);
  assert.deepEqual(await begin(both, [{}], [train]), [text]);
});

test("texts and trainings of unlike arithmetic are refused as one batch", async () => {
  const path = await writeTinyModel(join(root, "unlike"));
  await assert.rejects(
    openServingModel(path, { threads: 1, compute: "int8", trainCompute: "f32", coTraining: "flat" }),
    { code: "usage/flag", message: /texts are in int8 and trainings in f32, expected f32 for both/ },
  );
});
