/** @file Several trainings of one adapter, brought together: one is the plain training, several are the same at every run. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { outerStep } from "../../src/peft/algebra/outer-step.ts";
import {
  type AveragedInput,
  trainAveraged,
  trainContribution,
} from "../../src/train/files/averaged-training.ts";
import { endRound } from "../../src/train/files/averaged-rounds.ts";
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
    message: `Cannot end "${whole}" after 2 steps: it has advanced further, and no longer keeps that adapter, expected at least 4 steps`,
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
    const clients = { workers: [data, large, data], syncEvery: 2 };
    const env = { ...process.env, GRAFT_HOME: join(root, home) };
    await trainAveraged(settingsOf(name, 4), clients, { env, signal: stop.signal, onEvent });
  };
  await run("whole", "home-1", () => false);
  await assert.rejects(
    run("cut", "home-1", (_, worker) => worker === 2),
    { code: "train/stopped" },
  );
  const events: string[] = [];
  await run("cut", "home-2", ({ event }, worker) => {
    if (worker === 1) events.push(event);
    return false;
  });
  assert.ok(events.includes("read"), "the file is read in a thread");
  assert.deepEqual(read("cut"), read("whole"));
});

const hashesOf = (name: string): string[] =>
  readdirSync(join(root, name), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name: file }) => {
      const digest = createHash("sha256").update(readFileSync(join(parentPath, file)));
      return `${join(parentPath, file)} ${digest.digest("hex")}`;
    })
    .toSorted();

test("an output with another run or with anything else is refused, and nothing in it changes", async () => {
  const options = { workers: 2, syncEvery: 2 };
  const foreign = join(root, "foreign");
  mkdirSync(foreign);
  writeFileSync(join(foreign, "thesis.txt"), "mine");
  // One of as many steps too: its checkpoint is no round.
  await train({ ...settingsOf("other-run"), method: "ia3", rank: undefined });
  for (const [name, found] of [
    ["foreign", "files"],
    ["other-run", "another run"],
  ] as const) {
    const before = hashesOf(name);
    for (const steps of [3, 6]) {
      await assert.rejects(trainAveraged(settingsOf(name, steps), options), {
        code: "usage/output",
        message: `Cannot write to output "${join(root, name)}": it contains ${found}, expected an empty or new folder`,
        hint: "Choose another folder.",
      });
    }
    assert.deepEqual(hashesOf(name), before);
  }
  await assert.rejects(trainAveraged({ ...settingsOf("over"), overwrite: true }, options), {
    code: "usage/flag",
    message: /Cannot use overwrite true in an averaged training/,
  });
});

test("an output is gone on with as it was begun: what differs is named, whether it has ended or not, and nothing is trained", async () => {
  const options = { workers: 2, syncEvery: 2, outerMomentum: 0.9 };
  const events: string[] = [];
  const onEvent = ({ event }: TrainEvent): void => void events.push(event);
  await trainAveraged(settingsOf("ended"), options);
  const stop = new AbortController();
  const cutting = {
    signal: stop.signal,
    onEvent: ({ event }: TrainEvent) => event === "step" && stop.abort(),
  };
  await assert.rejects(trainAveraged(settingsOf("halted"), options, cutting), { code: "train/stopped" });
  const shorter = join(root, "shorter.jsonl");
  writeFileSync(shorter, readFileSync(data, "utf8").split("\n").slice(2).join("\n"));
  const cases: readonly (readonly [object, object, RegExp])[] = [
    [{}, { outerLearningRate: 0.1 }, /: outerLearningRate was 1, is 0.1$/],
    [{}, { outerMomentum: undefined, syncEvery: 3 }, /: outerMomentum was 0.9, is 0; syncEvery was 2, is 3$/],
    [{}, { workers: 3 }, /: workers was 2, is 3$/],
    [{}, { workers: [data, data] }, /: workers was 2, is \[/],
    [{ method: "ia3", rank: undefined }, {}, /: method was "lora", is "ia3"; rank was 2, is not given$/],
    [{ learningRate: 0.5 }, {}, /: learningRate was 0.01, is 0.5$/],
    [{ seed: 4 }, {}, /: seed was 3, is 4$/],
    [{ data: shorter }, {}, /: data was .*, is .*shorter/],
  ];
  for (const name of ["ended", "halted"]) {
    const before = hashesOf(name);
    for (const [settings, own, message] of cases) {
      const again = trainAveraged({ ...settingsOf(name), ...settings }, { ...options, ...own }, { onEvent });
      await assert.rejects(again, { code: "usage/resume", message });
    }
    assert.deepEqual(events, []);
    assert.deepEqual(hashesOf(name), before);
    await trainAveraged(settingsOf(name), options);
    assert.deepEqual(read(name), read("ended"));
  }
  const clients = { ...options, workers: [data, data] };
  await trainAveraged(settingsOf("two"), clients);
  await assert.rejects(trainAveraged(settingsOf("two"), { ...clients, workers: [data, shorter] }), {
    code: "usage/resume",
    message: /workers was .*chats.jsonl.*, is .*shorter.jsonl/,
  });
});

test("one that ended before anything was drawn is begun anew, and what fails then leaves nothing", async () => {
  const options = { workers: 2, syncEvery: 2 };
  const few = join(root, "few.jsonl");
  writeFileSync(few, readFileSync(data, "utf8").split("\n")[0]!);
  await assert.rejects(trainAveraged({ ...settingsOf("none"), data: few }, options), { code: "usage/data" });
  await assert.rejects(trainAveraged({ ...settingsOf("none"), model: join(root, "no") }, options), /model/);
  assert.ok(!existsSync(join(root, "none")));
  await trainAveraged(settingsOf("all"), options);
  cpSync(join(root, "all", "averaged.json"), join(root, "none", "averaged.json"));
  cpSync(join(root, "all", "data"), join(root, "none", "data"), { recursive: true });
  await trainAveraged({ ...settingsOf("none"), data: few }, { workers: 1, syncEvery: 3 });
  assert.ok(existsSync(join(root, "none", "adapter_model.safetensors")));
});

test("a folder has one averaged training at a time, which a run does not go on with, and replaces whole if asked to", async () => {
  const options = { workers: 2, syncEvery: 2 };
  const both = await Promise.allSettled([1, 2].map(() => trainAveraged(settingsOf("busy"), options)));
  assert.deepEqual(both.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  const refused = both.find((one) => one.status === "rejected");
  assert.equal(refused?.reason.code, "usage/output");
  await assert.rejects(train(settingsOf("busy")), { code: "usage/output", hint: /with trainAveraged/ });
  await assert.rejects(train({ ...settingsOf("busy"), resume: true }), {
    code: "usage/resume",
    message: /it contains an averaged training, expected a run/,
  });
  await train({ ...settingsOf("busy"), overwrite: true });
  assert.deepEqual(readdirSync(join(root, "busy")).toSorted(), readdirSync(join(root, "plain")).toSorted());
  assert.deepEqual(read("busy"), read("plain"));
});

test("a round that has ended takes the same contributions in any order, and no others; the folder of a run takes none", async () => {
  const contribution = await trainContribution(settingsOf("handed", 4), {
    from: 0,
    until: 2,
    adapter: join(root, "plain"),
  });
  const [one, two] = [3, 4].map((value) => ({
    difference: new Map([...contribution.difference].map(([name, own]) => [name, own.map(() => value)])),
    weight: value,
  }));
  const folder = join(root, "federated");
  const round = { from: 0, until: 2, adapter: join(root, "plain") };
  await endRound(folder, round, [one!, two!], { outerMomentum: 0.5 });
  const before = hashesOf("federated");
  await endRound(folder, round, [two!, one!], { outerMomentum: 0.5 });
  await assert.rejects(endRound(folder, round, [one!], { outerMomentum: 0.5 }), {
    code: "usage/resume",
    message: /checkpoint-2" with other settings: contributions was \[".*",".*"\], is \[".*"\]$/,
  });
  await assert.rejects(endRound(folder, round, [one!, two!]), { message: /: outerMomentum was 0.5, is 0$/ });
  assert.deepEqual(hashesOf("federated"), before);
  await assert.rejects(endRound(join(root, "plain"), { ...round, adapter: folder }, [one!]), {
    code: "usage/output",
  });
});

test("a client whose folder lacks the rounds before is refused, and trains none of this one", async () => {
  const adapter = join(root, "plain");
  const later = { from: 2, until: 4, adapter };
  const refusal = { code: "usage/resume", message: /the run is after step 0, expected 2/ };
  await assert.rejects(trainContribution(settingsOf("new", 6), later), refusal);
  await trainContribution(settingsOf("new", 6), { from: 0, until: 2, adapter });
  await assert.rejects(trainContribution(settingsOf("new", 6), { from: 4, until: 6, adapter }), {
    code: "usage/resume",
    message: /the run is after step 2, expected 4/,
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
