/** @file Rows of unlike methods share one pass: each text is that of its adapter alone, and the base is multiplied once. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { AdapterPool } from "../../src/engine/adapters/adapter-pool.ts";
import type { HeldAdapter } from "../../src/engine/adapters/held-adapter.ts";
import { ServingEngine } from "../../src/engine/serving/serving-engine.ts";
import { loadModel } from "../../src/format/by-path.ts";
import { nodesOf, type ProgramSpec } from "../../src/graph/program.ts";
import { METHODS, findMethod } from "../../src/peft/methods.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";
import { sampled } from "../matrix/sampled.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { watchRuns } from "../passes/watched-runs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

/** Programs of blocks that ran, in turn. */
const runs: ProgramSpec[] = [];
const engine = sharePrograms(createEngine({ threads: 1 }));
const counting = watchRuns(engine, (spec) => {
  if (spec.name === "block-stack") runs.push(spec);
});
const config = { attention_bias: true, mlp_bias: true };
const { base, checkpoint } = await loadModel(await writeTinyModel(temporaryFolder(), { config }));
const session = new Session(counting, base, "float32");
const pools = [true, false].map((isOwnFirst) => new AdapterPool({ session, maxLoaded: 8, isOwnFirst }));
const [alone, mixed] = pools.map(
  (pool) => new ServingEngine(session, pool, { cacheBytes: 1e6, maxRunning: 32 }),
) as [ServingEngine, ServingEngine];
after(async () => {
  for (const each of [alone, mixed]) await each.close();
  for (const pool of pools) await pool.close();
  await session.release();
  await checkpoint.close();
});

/** Other options and targets than a method's own, where it has some. */
const OTHERS: Readonly<Record<string, readonly [object, string[] | null]>> = {
  lora: [{ rank: 5, loraBias: true }, ["q_proj", "down_proj"]],
  dora: [{ rank: 3, bias: "all" }, ["k_proj", "up_proj"]],
  snell: [{ rank: 3, kernel: "rbf", sparsify: "hard" }, ["k_proj", "up_proj"]],
  vera: [{ rank: 8, projectionSeed: 3 }, ["k_proj", "up_proj"]],
  road: [{ variant: "road_4", pairs: "upper", groupSize: 4 }, ["q_proj", "up_proj"]],
  "road-lora": [{ variant: "road_4", rank: 3, groupSize: 4 }, ["q_proj", "up_proj"]],
};

/** Methods of which a row has the base's weights only in another form. */
const REPLACING = ["peqa"];

interface Row {
  readonly method: string;
  readonly held: HeldAdapter | null;
  readonly promptIds: number[];
  readonly expected: Text;
}

interface Text {
  readonly ids: readonly number[];
  readonly logits: readonly Float32Array[];
}

async function write(serving: ServingEngine, held: HeldAdapter | null, promptIds: number[]): Promise<Text> {
  const [ids, logits]: [number[], Float32Array[]] = [[], []];
  const onLogits = (row: Float32Array): void => void logits.push(row.slice());
  for await (const { id } of serving.write({ promptIds, adapter: held, maxNewTokens: 4, onLogits }))
    ids.push(id);
  return { ids, logits };
}

async function makeRow(
  method: string,
  options: object,
  modules: string[] | null,
  seed: number,
): Promise<Row> {
  const adapter = method === "" ? null : await attachTo(base, findMethod(method), options, modules, seed);
  if (adapter) perturb(adapter, 0.2, seed);
  const promptIds = Array.from({ length: 2 + seed }, (_, i) => 33 + ((7 * i + seed) % 90));
  const expected = await write(alone, await pools[0]!.hold(adapter), promptIds);
  const held = await pools[1]!.hold(adapter);
  // Once alone, so that all is compiled and texts begin together later.
  assert.deepEqual((await write(mixed, held, promptIds)).ids, expected.ids);
  return { method, held, promptIds, expected };
}

const METHODS_THAT_MIX = METHODS.filter(
  ({ batch, name }) => batch !== "not-batchable" && !REPLACING.includes(name),
).map(({ name }) => name);
const rows = new Map<string, Row[]>([["", [await makeRow("", {}, null, 0)]]]);
for (const [i, method] of METHODS_THAT_MIX.entries()) {
  const modules = findMethod(method).kind === "base" ? null : ["v_proj", "down_proj"];
  const [options, targets] = OTHERS[method] ?? [{}, modules];
  rows.set(method, [await makeRow(method, {}, null, i + 1), await makeRow(method, options, targets, i + 5)]);
}

/** Passes of each method by itself, while programs of several are compiled. */
const MAX_TRIES = 200;

/** Writes all at once, again until every pass but those of single prompts has all of them. */
async function assertMixed(chosen: readonly Row[]): Promise<ProgramSpec> {
  for (let tries = 1; ; tries++) {
    const numSteps = await assertWritten(chosen);
    // A prompt of each, and in every step but the first one pass for the next tokens of all.
    if (numSteps <= 5 && runs.length === chosen.length + numSteps - 1) return runs.at(-1)!;
    assert.ok(tries < MAX_TRIES, `${runs.length} passes in ${numSteps} steps of ${chosen.length} texts`);
  }
}

/** Writes all at once, each as it is alone, and counts the steps. */
async function assertWritten(chosen: readonly Row[]): Promise<number> {
  runs.length = 0;
  const { numSteps } = mixed.stats;
  const texts = await Promise.all(chosen.map(({ held, promptIds }) => write(mixed, held, promptIds)));
  for (const [i, { ids, logits }] of texts.entries()) {
    const { expected, method } = chosen[i]!;
    assert.deepEqual(ids, expected.ids, method);
    for (const [step, found] of logits.entries()) {
      const wanted = expected.logits[step]!;
      const apart = Math.max(...found.map((value, k) => Math.abs(value - wanted[k]!)));
      assert.ok(apart <= 1e-5 * Math.max(1, ...wanted.map(Math.abs)), `${method} is ${apart} apart`);
    }
  }
  return mixed.stats.numSteps - numSteps;
}

for (const [i, one] of METHODS_THAT_MIX.entries()) {
  for (const other of sampled(METHODS_THAT_MIX.slice(i + 1), (_, k) => k % 2 === 0)) {
    test(`rows of ${one} and of ${other}, without rows of the base and with one`, async () => {
      const both = [...rows.get(one)!, ...rows.get(other)!];
      await assertMixed(both);
      await assertMixed([both[2]!, rows.get("")![0]!, both[1]!]);
    });
  }
}

test("rows of all methods and of the base multiply with each matrix of the base once", async () => {
  const program = await assertMixed([...rows.values()].flat());
  const nodes = nodesOf(program);
  const matrices = Object.entries(program.inputs).filter(([name]) =>
    /^\d+\.[a-z_.]+_proj\.weight$/.test(name),
  );
  assert.equal(matrices.length, 7 * session.model.numLayers);
  for (const [name, matrix] of matrices) {
    assert.equal(nodes.filter(({ inputs }) => inputs.includes(matrix)).length, 1, name);
  }
});
