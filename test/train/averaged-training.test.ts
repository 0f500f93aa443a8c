/** @file Several trainings of one adapter, brought together: one is the plain training, several are the same at every run. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { outerStep } from "../../src/peft/algebra/outer-step.ts";
import {
  type AveragedInput,
  trainAveraged,
  trainContribution,
} from "../../src/train/files/averaged-training.ts";
import type { TrainEvent } from "../../src/train/events.ts";
import { train } from "../../src/train/trainer.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";

const root = temporaryFolder();
const model = await writeTinyModel(join(root, "model"));
const data = writeTinyChats(join(root, "chats.jsonl"), 24);
const settingsOf = (name: string, steps = 3): AveragedInput => ({
  output: join(root, name),
  model,
  data,
  batchSize: 2,
  maxLength: 32,
  seed: 3,
  threads: 1,
  chatTemplate: "chatml",
  rank: 2,
  learningRate: 0.01,
  schedule: "linear",
  targetModules: ["q_proj"],
  steps,
});
const read = (name: string): Buffer => readFileSync(join(root, name, "adapter_model.safetensors"));
await train(settingsOf("plain"));

test("one worker without momentum ends with the bits of plain training, over rounds of any length", async () => {
  await trainAveraged(settingsOf("one"), { workers: 1, syncEvery: 2 });
  assert.deepEqual(read("one"), read("plain"));
});

test("two workers give the same adapter again, also when a part of it is done already", async () => {
  const options = { workers: 2, syncEvery: 2, outerMomentum: 0.9, outerLearningRate: 0.7 };
  const steps: string[] = [];
  const onEvent = (event: TrainEvent, worker: number): void => {
    if (event.event === "step") steps.push(`${worker}:${event.step}`);
  };
  await trainAveraged(settingsOf("a"), options, { onEvent });
  assert.equal(steps.join(" "), "0:1 0:2 1:1 1:2 0:3 1:3");
  const first = read("a");
  assert.notDeepEqual(first, read("plain"));
  for (const name of ["checkpoint-3", "adapter_model.safetensors"]) {
    rmSync(join(root, "a", name), { recursive: true });
  }
  await trainAveraged(settingsOf("a"), options);
  assert.deepEqual(read("a"), first);
});

test("what lies before the last rounds goes, also where it was left by one that was cut off, and no round is done twice", async () => {
  const options = { workers: 1, syncEvery: 1, outerMomentum: 0.9 };
  const input = { ...settingsOf("rounds", 4), keepLast: 2 };
  const roundsIn = (name: string): string[] =>
    readdirSync(join(root, name)).filter((each) => /^(checkpoint|velocity)-/.test(each));
  const kept = ["checkpoint-3", "checkpoint-4", "velocity-3", "velocity-4"];
  await trainAveraged(input, options);
  assert.deepEqual(roundsIn("rounds"), kept);
  const first = read("rounds");
  await trainAveraged(input, options, { onEvent: () => assert.fail("it trains") });
  assert.deepEqual(read("rounds"), first);
  // As one that was cut off after its third round, between what the second left.
  const whole = join(root, "rounds");
  for (const name of ["checkpoint-4", "velocity-4"]) rmSync(join(whole, name), { recursive: true });
  cpSync(join(whole, "checkpoint-3"), join(whole, "checkpoint-1"), { recursive: true });
  await trainAveraged(input, options);
  assert.deepEqual(roundsIn("rounds"), kept);
  assert.deepEqual(read("rounds"), first);
  await assert.rejects(trainAveraged({ ...input, steps: 2 }, options), {
    code: "usage/flag",
    message: `Cannot end "${whole}" after 2 steps: it has gone on, and keeps that adapter no more, expected at least 4 steps`,
  });
  assert.deepEqual(read("rounds"), first);
});

test("clients with data of their own count by their examples", async () => {
  const lines = readFileSync(data, "utf8").trim().split("\n");
  const clients = [lines.slice(0, 18), lines.slice(18)].map((own, i) => {
    const path = join(root, `client-${i}.jsonl`);
    writeFileSync(path, own.join("\n"));
    return path;
  });
  const weights: number[] = [];
  const onEvent = (event: TrainEvent, worker: number): void => {
    if (event.event === "start") weights[worker] = event.examples;
  };
  await trainAveraged(settingsOf("clients", 2), { workers: clients, syncEvery: 2 }, { onEvent });
  const [many = 0, few = 0] = weights;
  assert.ok(many > 2 * few && few > 0);
  const numbers = (folder: string): Float32Array => {
    const bytes = read(folder);
    const head = Number(bytes.readBigUInt64LE(0)) + 8;
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset + head, bytes.byteOffset + bytes.length));
  };
  const [all, first, second] = ["clients", "clients/worker-0", "clients/worker-1"].map(numbers);
  assert.ok(all && first && second);
  const expected = first.map((value, i) => (many * value + few * second[i]!) / (many + few));
  assert.ok(all.every((value, i) => Math.abs(value - expected[i]!) < 1e-7));
  assert.ok(first.some((value, i) => value !== second[i]));
});

test("a round that a client has trained already is handed in also where its large file has to be read anew", async () => {
  const rows = readFileSync(data, "utf8").trim().split("\n");
  // Above 1 MB a file is read in a thread, which tells how far it is.
  const large = join(root, "large.jsonl");
  const numTimes = Math.ceil(2 ** 21 / Buffer.byteLength(rows.join("\n")));
  writeFileSync(large, Array.from({ length: numTimes }, () => rows.join("\n")).join("\n"));
  const run = async (
    name: string,
    home: string,
    isEnough: (event: TrainEvent, worker: number) => boolean,
  ) => {
    const stop = new AbortController();
    const onEvent = (event: TrainEvent, worker: number): void => {
      if (isEnough(event, worker)) stop.abort();
    };
    const clients = { workers: [large, data], syncEvery: 2 };
    const env = { ...process.env, GRAFT_HOME: join(root, home) };
    await trainAveraged(settingsOf(name, 4), clients, { env, signal: stop.signal, onEvent });
  };
  await run("whole", "home-1", () => false);
  await assert.rejects(
    run("cut", "home-1", (_, worker) => worker === 1),
    { code: "train/stopped" },
  );
  const events: string[] = [];
  await run("cut", "home-2", ({ event }, worker) => {
    if (worker === 0) events.push(event);
    return false;
  });
  assert.ok(events.includes("read"), "the file is read in a thread");
  assert.deepEqual(read("cut"), read("whole"));
});

test("a client whose folder lacks the rounds before is refused, and trains none of this one", async () => {
  const adapter = join(root, "plain");
  const later = { from: 2, until: 4, adapter };
  const refusal = { code: "usage/resume", message: /the run stands after step 0, expected 2/ };
  await assert.rejects(trainContribution(settingsOf("new", 6), later), refusal);
  await trainContribution(settingsOf("new", 6), { from: 0, until: 2, adapter });
  await assert.rejects(trainContribution(settingsOf("new", 6), { from: 4, until: 6, adapter }), {
    code: "usage/resume",
    message: /the run stands after step 2, expected 4/,
  });
  const { weight } = await trainContribution(settingsOf("new", 6), later);
  assert.ok(weight > 0);
});

test("what trainings that are brought together cannot have is refused by name, and nothing is written", async () => {
  const cases: Record<string, object> = {
    earlyStopping: { evalShare: 0.3, evalEvery: 1, earlyStopping: 1 },
    evalMetric: { evalShare: 0.3, evalEvery: 1, evalMetric: "loss" },
    method: { method: "full", rank: undefined, targetModules: undefined },
  };
  for (const [key, own] of Object.entries(cases)) {
    const output = join(root, `own-${key}`);
    const input = { ...settingsOf(`own-${key}`), ...own };
    await assert.rejects(trainAveraged(input, { workers: 2, syncEvery: 2 }), {
      code: "usage/flag",
      message: new RegExp(`Cannot use ${key} .* in an averaged training`),
    });
    assert.ok(!existsSync(output));
  }
});

test("the outer step is Nesterov's on the weighted mean of what was changed", () => {
  const of = (...values: number[]): ReadonlyMap<string, Float32Array> =>
    new Map([["x", Float32Array.from(values)]]);
  const contributions = [
    { difference: of(1, 0), weight: 3 },
    { difference: of(-1, 4), weight: 1 },
  ];
  const { next, velocity } = outerStep(of(10, 20), contributions, of(2, 2), {
    learningRate: 0.5,
    momentum: 0.25,
  });
  // Δ = [0.5, 1], v = [1, 1.5], θ = θ + 0.5 (Δ + 0.25 v)
  assert.deepEqual([...(velocity.get("x") ?? [])], [1, 1.5]);
  assert.deepEqual([...(next.get("x") ?? [])], [10.375, 20.6875]);
});
