/** @file Texts with adapters of their own on a base of few bits, by its codes: a few rows are those of each alone, many are near. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { attachTo, perturb } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { readAdapter } from "../../format/by-path.ts";
import { Graph } from "../../graph/graph.ts";
import { matmulBits } from "../../graph/ops/products/matmul-bits.ts";
import { findMethod } from "../../peft/methods.ts";
import { Random } from "../../random.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { hostTensor, zeros } from "../../runtime/host-tensor.ts";
import { pageBytes } from "../cache/paged-cache.ts";
import { AdapterPool } from "./adapter-pool.ts";
import { chooseCompute } from "../opening/choose-compute.ts";
import { GREEDY } from "../sampling/sampler.ts";
import type { ServeRequest } from "../serving/serve-request.ts";
import { ServingEngine } from "../serving/serving-engine.ts";
import { openTextParts } from "../open-text-model.ts";
import { openWritingSession } from "../opening/writing-session.ts";
import { saveAdapter } from "../../../test/files/save-adapter.ts";

const root = temporaryFolder();
const path = await writeTinyModel(join(root, "model"), {
  config: { hidden_size: 64, intermediate_size: 128 },
});
const parts = await openTextParts(path, { base: "q4_1" });
const { base, tokenizer, checkpoint } = parts;
const compute = chooseCompute("auto", base);
const session = await openWritingSession(createEngine({ threads: 1 }), base, "float32", {
  compute,
  tokenizer: () => tokenizer,
});
const read = (folder: string): ReturnType<typeof readAdapter> => readAdapter(folder, base);
const adapters = new AdapterPool({ session, read, maxLoaded: 8 });
const engine = new ServingEngine(session, adapters, { cacheBytes: 2e6, maxRunning: 8 });
after(async () => {
  await engine.close();
  await adapters.close();
  await session.release();
  await checkpoint.close();
});

const METHODS = ["lora", "dora", "ia3", "road", "vera", "bitfit"];
for (const [i, method] of METHODS.entries()) {
  const adapter = await attachTo(base, findMethod(method), {}, null, i);
  perturb(adapter, 0.2, i);
  const folder = join(root, method);
  await saveAdapter(folder, adapter, { base, checkpoint });
  adapters.register(method, folder);
}

/** Log-probabilities of greedy tokens, and their ids. */
async function write(adapter: string | null): Promise<{ ids: number[]; logProbs: number[] }> {
  const [ids, logProbs]: [number[], number[]] = [[], []];
  const promptIds = [5, 17, 42, 7, 9];
  for await (const { id, logProbs: told } of engine.write({
    promptIds,
    adapter,
    maxNewTokens: 6,
    topLogProbs: 1,
  })) {
    ids.push(id);
    logProbs.push(told?.logProb ?? Number.NaN);
  }
  return { ids, logProbs };
}

/**
 * Whether this processor adds up the product of one row as that of two, to the last bit. Where it does not (AVX2), another bit
 * may decide how a number is rounded to 8 bits, and a text is near the same text alone, not equal.
 */
async function sumsOneRowAsTwo(): Promise<boolean> {
  const [width, numOutputs, size] = [256, 32, 32];
  const perOutput = [numOutputs, width / size] as const;
  const random = new Random(1);
  const [codes, scales] = [zeros("uint8", [...perOutput, size / 2]), zeros("float32", [...perOutput])];
  codes.data.forEach((_, i) => (codes.data[i] = random.integer(256)));
  scales.data.forEach((_, i) => (scales.data[i] = random.normal()));
  const row = Float32Array.from({ length: width }, () => random.normal());
  const multiply = async (numRows: number): Promise<Float32Array> => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [numRows, width]);
    const values = {
      codes: graph.input("codes", "uint8", codes.shape),
      scales: graph.input("scales", "float32", scales.shape),
    };
    const outputs = { y: matmulBits(x, values, { bits: 4, activations: "int8" }) };
    const spec = { name: "rows", inputs: { x, ...values }, outputs };
    const program = await session.engine.compile(spec, { constants: { codes, scales } });
    const y = zeros("float32", [numRows, numOutputs]);
    const rows = Float32Array.from({ length: numRows * width }, (_, i) => row[i % width]!);
    await program.run({ x: hostTensor("float32", [numRows, width], rows) }, { y });
    await program.release();
    return y.data.subarray(0, numOutputs);
  };
  return isDeepStrictEqual(await multiply(1), await multiply(2));
}

test("auto takes the codes of such a base, and float32 for one of floats", async () => {
  assert.equal(compute.name, "direct");
  assert.equal(chooseCompute("int8", base).name, "int8");
  const plain = await openTextParts(path);
  assert.equal(chooseCompute("auto", plain.base).name, "f32");
  await plain.checkpoint.close();
});

test("rows with adapters of their own", async () => {
  const names = [null, ...METHODS];
  const alone: Awaited<ReturnType<typeof write>>[] = [];
  for (const name of names) alone.push(await write(name));
  assert.equal(new Set(alone.map(({ logProbs }) => logProbs[0]?.toFixed(4))).size, names.length);
  // Two of each, and so few that the same products run.
  const isRowAsTwo = await sumsOneRowAsTwo();
  for (const [i, name] of names.entries()) {
    const [first, second] = await Promise.all([write(name), write(null)]);
    assert.deepEqual([first.ids, second.ids], [alone[i]!.ids, alone[0]!.ids]);
    const [beside] = await Promise.all([write(name), write(name)]);
    for (const same of isRowAsTwo ? [beside, alone[i]!] : [beside]) {
      first.logProbs.forEach((p, k) => assert.ok(Math.abs(p - same.logProbs[k]!) < 1e-5));
    }
  }
  // Fourteen run as 8-bit whole numbers, and so do prompts from then on.
  const many = await Promise.all([...names, ...names].map(write));
  assert.deepEqual(many[0], many[names.length], "equal rows are equal");
  assert.ok(session.smoothing.size > 0, "whole numbers are smoothed");
  for (const [i, { ids, logProbs }] of many.entries()) {
    const own = alone[i % names.length]!;
    if (ids[0] === own.ids[0]) assert.ok(Math.abs(logProbs[0]! - own.logProbs[0]!) < 0.2);
  }
});

test("what many rows are written with is made once, also beside a text", async () => {
  const [text] = await Promise.all([write(null), adapters.prepareMany(), adapters.prepareMany()]);
  assert.deepEqual(await write(null), text);
});

test("a text that is to be computed alike is, whatever runs beside it", async () => {
  await adapters.prepareMany();
  const draw = async (adapter: string | null, seed: number): Promise<number[]> => {
    const sampling = { ...GREEDY, temperature: 1 };
    const request = { promptIds: [5, 17, 42, 7, 9 + seed], adapter, maxNewTokens: 24, sampling, seed };
    const ids: number[] = [];
    for await (const { id } of engine.write({ ...request, isBatchInvariant: true })) ids.push(id);
    return ids;
  };
  const asked = [null, ...METHODS].flatMap((name) => [1, 2].map((seed) => [name, seed] as const));
  const alone: number[][] = [];
  for (const [name, seed] of asked) alone.push(await draw(name, seed));
  const pairs = await Promise.all(asked.slice(0, 2).map(([name, seed]) => draw(name, seed)));
  assert.deepEqual(pairs, alone.slice(0, 2), "two at once");
  assert.deepEqual(await Promise.all(asked.map(([name, seed]) => draw(name, seed))), alone, "all at once");
  const [one] = await Promise.all([draw(...asked[0]!), write("lora"), write(null)]);
  assert.deepEqual(one, alone[0], "beside others");
});

test("rows that are to be computed alike share no product whose sums round by their number", async () => {
  for (const [method, numBatches] of [
    ["lora", 1],
    ["vera", 3],
  ] as const) {
    const { adapter } = await read(join(root, method));
    const held = await adapters.hold(adapter, `${method} again`);
    const batches = await adapters.rows.of([held, held, held], { isInvariant: true });
    assert.equal(batches.length, numBatches, method);
    assert.equal((await adapters.rows.of([held, held, held])).length, 1, method);
  }
});

test("such a text takes no pages of a text that was computed otherwise", async () => {
  await adapters.prepareMany();
  const goOn = async (promptIds: readonly number[], isBatchInvariant: boolean): Promise<number[]> => {
    const ids = [...promptIds];
    for await (const { id } of engine.write({ promptIds, maxNewTokens: 30, isBatchInvariant })) ids.push(id);
    return ids;
  };
  const longer = await goOn([100, 90, 80, 70], false);
  const before = engine.stats.numCachedTokens;
  await goOn(longer, true);
  assert.equal(engine.stats.numCachedTokens, before);
  await goOn(longer, true);
  assert.equal(engine.stats.numCachedTokens, before + 32, "its own it does");
});

test("a prompt that is cached in part goes on as it did when it was not, and be it all but its last id", async () => {
  await adapters.prepareMany();
  for (const [length, numCached] of [
    [40, 64],
    [33, 32],
  ] as const) {
    const promptIds = Array.from({ length }, (_, i) => 3 + ((7 * i + length) % 200));
    const before = engine.stats.numCachedTokens;
    const texts: Awaited<ReturnType<typeof draw>>[] = [];
    for (let time = 0; time < 3; time++) texts.push(await draw(engine, { promptIds, maxNewTokens: 12 }));
    assert.ok(engine.stats.numCachedTokens - before >= numCached, "two of them read pages");
    assert.deepEqual(texts[1], texts[0]);
    assert.deepEqual(texts[2], texts[0]);
  }
});

test("a text that is to be computed alike is, where it loses its pages to others or goes on from what was written before", async () => {
  await adapters.prepareMany();
  const small = new ServingEngine(session, adapters, {
    cacheBytes: 8 * pageBytes(session.model),
    maxRunning: 8,
  });
  const sampling = { ...GREEDY, temperature: 1 };
  const asked = Array.from({ length: 4 }, (_, seed) => ({
    promptIds: Array.from({ length: 20 }, (_, i) => 3 + ((11 * i + seed) % 200)),
    maxNewTokens: 40,
    sampling,
    seed,
    isBatchInvariant: true,
  }));
  const alone: Awaited<ReturnType<typeof draw>>[] = [];
  for (const request of asked) alone.push(await draw(engine, request));
  const together = await Promise.all(asked.map((request) => draw(small, request)));
  assert.ok(small.stats.numPreemptions > 0, "some lose their pages");
  assert.deepEqual(together, alone);
  // What was written was computed token by token, and as a prompt it is not.
  const [first, text] = [asked[0]!, alone[0]!];
  const next = { ...first, promptIds: [...first.promptIds, ...text.ids], maxNewTokens: 12 };
  const known = await draw(engine, next);
  const fresh = new ServingEngine(session, adapters, { cacheBytes: 2e6 });
  assert.deepEqual(known, await draw(fresh, next));
  await small.close();
  await fresh.close();
});

/** The ids of a text and their log-probabilities. */
async function draw(
  of: ServingEngine,
  request: ServeRequest,
): Promise<{ ids: number[]; logProbs: number[] }> {
  const [ids, logProbs]: [number[], number[]] = [[], []];
  for await (const { id, logProbs: told } of of.write({ ...request, topLogProbs: 0 })) {
    ids.push(id);
    logProbs.push(told?.logProb ?? Number.NaN);
  }
  return { ids, logProbs };
}
