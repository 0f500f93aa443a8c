/** @file Jobs whose files are in an S3-compatible store: what it refuses, what gets lost, and workers that share nothing else. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import * as node from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Clock } from "../../src/jobs/queue/clock.ts";
import type { UploadedFile } from "../../src/jobs/job.ts";
import type { StateFolder } from "../../src/jobs/state-folder.ts";
import { openState } from "../../src/jobs/store/open-state.ts";
import { S3Store, storeAddress } from "../../src/jobs/store/s3.ts";
import { storedBytes } from "../../src/jobs/store/stored-content.ts";
import { withDisk } from "../../src/format/files/disk/calls.ts";
import { systemClock } from "../../src/jobs/queue/system-clock.ts";
import { trainAveraged } from "../../src/train/files/averaged-training.ts";
import { CLOSED_ENDPOINT } from "../files/fake-hub.ts";
import { waitFor } from "../process/wait-for.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { MemoryJobs } from "./memory-jobs.ts";
import { newJob } from "./new-job.ts";
import { BUCKET, startS3 } from "./s3-server.ts";
import { ADAPTER_FILE, addTrainingFile, trainAlone } from "./train-alone.ts";
import { HELD, queueOf, reachedUnless, startWorker, succeeded } from "./training-workers.ts";
import { toldBy } from "./told.ts";

const root = temporaryFolder();
const server = await startS3();
after(() => server.close());
const waited: number[] = [];
const clock: Clock = {
  nowMs: () => 0,
  sleep: async (timeMs) => void waited.push(timeMs),
};
const open = async (
  name: string,
  store = `s3://${BUCKET}/some/where`,
  env = server.env,
): Promise<StateFolder> => {
  const files = await openState({ folder: join(root, name), store, env, clock });
  await files.requireAnswer();
  return files;
};
const file = (id: string): UploadedFile => ({
  id,
  object: "file",
  bytes: 3,
  created_at: 1,
  filename: "a.txt",
  purpose: "fine-tune",
  status: "processed",
});

test("a wrong key, a bucket that is not there and a store that does not answer are each an error that says so", async () => {
  const store = `s3://${BUCKET}`;
  const failed = (message: RegExp) => ({ code: "failed/store", message });
  await assert.rejects(open("a", "s3://nowhere"), failed(/404 NoSuchBucket/));
  await assert.rejects(
    open("a", store, { ...server.env, AWS_ACCESS_KEY_ID: "other" }),
    failed(/403 InvalidAccessKeyId/),
  );
  assert.deepEqual(waited.splice(0), [], "what the store refuses is not asked again");
  const gone = { ...server.env, AWS_ENDPOINT_URL: CLOSED_ENDPOINT };
  await assert.rejects(open("a", store, gone), failed(/ECONNREFUSED/));
  assert.ok(waited.splice(0).length >= 4);
  await assert.rejects(open("a", store, {}), { code: "usage/flag", message: /without keys/ });
  await assert.rejects(open("a", "http://x"), { code: "usage/flag", message: /s3:\/\/BUCKET/ });
  for (const AWS_ENDPOINT_URL of ["minio:9000", "http://", "http://a b", ""]) {
    const wrong = open("a", store, { ...server.env, AWS_ENDPOINT_URL });
    await assert.rejects(wrong, { code: "usage/flag", message: /expected http:\/\/HOST/ }, AWS_ENDPOINT_URL);
  }
  for (const secret of ["u:hidden@h", "h?key=hidden"]) {
    const wrong = open("a", store, { ...server.env, AWS_ENDPOINT_URL: `http://${secret}` });
    await assert.rejects(wrong, { code: "usage/flag", message: /^(?!.*hidden)/ });
  }
  assert.deepEqual(waited.splice(0), []);
});

test("a region that is empty is as none", () => {
  const regionOf = (env: NodeJS.ProcessEnv): string =>
    storeAddress(`s3://${BUCKET}`, { ...server.env, ...env }).region;
  assert.equal(regionOf({ AWS_REGION: "", AWS_DEFAULT_REGION: "eu-central-1" }), "eu-central-1");
  assert.equal(regionOf({ AWS_REGION: "" }), "us-east-1");
});

test("what fails here, before the store is asked, is not tried again", async () => {
  const store = new S3Store(storeAddress(`s3://${BUCKET}`, server.env), clock);
  await assert.rejects(store.put("x", { ...storedBytes(new Uint8Array()), sha256: "a\n1" }), TypeError);
  assert.deepEqual(waited.splice(0), []);
});

test("an object that is no JSON, or none of ours, is told by its key", async () => {
  const state = await open("damaged");
  for (const text of ["{", "{}"]) {
    for (const key of ["files/file-damaged/file.json", "jobs/ftjob-damaged/run/manifest.json"])
      server.objects.set(`some/where/${key}`, Buffer.from(text));
    const told = (key: RegExp) => ({ code: "failed/store", message: key });
    await assert.rejects(state.readFile("file-damaged"), told(/"files\/file-damaged\/file.json"/));
    await assert.rejects(state.fetchRun("ftjob-damaged", "run"), told(/"jobs\/ftjob-damaged\/run\/manifest/));
  }
  server.objects.clear();
});

test("a file is whole or not there, also when connections are lost", async () => {
  const [one, two] = [await open("one"), await open("two")];
  let numLost = 0;
  server.drops = (said) => said.startsWith("PUT") && numLost++ < 2;
  for (const id of ["file-1", "file-2", "file-3"]) await one.addFile(file(id), Buffer.from("abc"));
  assert.equal(waited.splice(0).length, 2);
  assert.deepEqual(
    (await two.listFiles()).map(({ id }) => id),
    ["file-1", "file-2", "file-3"],
  );
  assert.equal(readFileSync(await two.contentOf(file("file-2")), "utf8"), "abc");
  server.drops = (said) => said.startsWith("PUT") && said.endsWith("file.json");
  await assert.rejects(one.addFile(file("file-4"), Buffer.from("abc")), { code: "failed/store" });
  server.drops = () => false;
  assert.equal(await two.readFile("file-4"), null);
  server.objects.set("some/where/files/file-2/data", Buffer.from("abd"));
  await assert.rejects(two.contentOf(file("file-2")), {
    code: "failed/store",
    message: /not what was stored/,
  });
  await one.removeFile("file-1");
  assert.equal(await two.readFile("file-1"), null);
});

test("a run is read as it was put at some time, and what it has no more goes", async () => {
  const [one, two] = [await open("one"), await open("two")];
  const write = (name: string, text: string): void => {
    mkdirSync(join(one.runFolder("ftjob-1", "run"), "checkpoint-2"), { recursive: true });
    writeFileSync(join(one.runFolder("ftjob-1", "run"), name), text);
  };
  const read = (name: string): string => readFileSync(join(two.runFolder("ftjob-1", "run"), name), "utf8");
  write("checkpoint-2/x", "before");
  write("log", "1");
  await one.publishRun("ftjob-1", "run");
  await two.fetchRun("ftjob-1", "run");
  assert.equal(read("checkpoint-2/x"), "before");
  write("checkpoint-2/x", "after");
  server.drops = (said) => said.startsWith("PUT") && said.endsWith("manifest.json");
  await assert.rejects(one.publishRun("ftjob-1", "run"), { code: "failed/store" });
  server.drops = () => false;
  await one.publishRun("ftjob-1", "run", () => false);
  await two.fetchRun("ftjob-1", "run");
  assert.equal(read("checkpoint-2/x"), "before", "without its manifest, what was put is not there");
  await one.publishRun("ftjob-1", "run");
  await two.fetchRun("ftjob-1", "run");
  assert.equal(read("checkpoint-2/x"), "after");
  const objects = [...server.objects].filter(([key]) => key.includes("/run/objects/"));
  assert.equal(objects.length, 2);
  const [key] = objects.find(([, bytes]) => Buffer.from(bytes).toString() === "after") ?? [""];
  server.objects.set(key, Buffer.from("afteR"));
  await assert.rejects((await open("three")).fetchRun("ftjob-1", "run"), { code: "failed/store" });
  server.objects.set("some/where/jobs/ftjob-1/run-2/objects/left", new Uint8Array(1));
  await one.removeRuns("ftjob-1");
  assert.deepEqual(
    [...server.objects.keys()].filter((each) => each.includes("ftjob-1")),
    [],
  );
});

test("files of a run are put and fetched in pieces, and none is read whole, which a large one cannot be", async () => {
  const [one, two] = [await open("pieces"), await open("pieces-read")];
  const run = one.runFolder("ftjob-pieces", "run");
  mkdirSync(run, { recursive: true });
  // More than is read at once of a file, or of an object.
  const large = Buffer.alloc(2 ** 25 + 5, "graft");
  for (const [name, bytes] of [
    ["large", large],
    ["empty", ""],
  ] as const)
    writeFileSync(join(run, name), bytes);
  const tooLarge = (): Promise<never> =>
    Promise.reject(
      Object.assign(new Error("File size is greater than 2 GiB"), { code: "ERR_FS_FILE_TOO_LARGE" }),
    );
  await withDisk({ ...node, readFile: tooLarge }, async () => {
    await one.publishRun("ftjob-pieces", "run");
    assert.ok(await two.fetchRun("ftjob-pieces", "run"));
    writeFileSync(join(run, "more"), "1");
    await one.publishRun("ftjob-pieces", "run");
    assert.ok(await two.fetchRun("ftjob-pieces", "run"));
  });
  const fetched = two.runFolder("ftjob-pieces", "run");
  assert.deepEqual(readdirSync(fetched), ["empty", "large", "more"]);
  assert.ok(readFileSync(join(fetched, "large")).equals(large));
});

test("a run that several fetch at once is there whole for each, beside one that removes a checkpoint", async () => {
  const [one, two] = [await open("writes"), await open("reads")];
  const run = one.runFolder("ftjob-fetched", "run");
  for (const step of [2, 4]) {
    mkdirSync(join(run, `checkpoint-${step}`), { recursive: true });
    for (const name of ["a", "b"]) writeFileSync(join(run, `checkpoint-${step}`, name), `${name}${step}`);
  }
  const steps = async (): Promise<number[]> =>
    (await two.listCheckpoints("ftjob-fetched", "run")).map(({ step }) => step);
  for (const log of ["1", "2"]) {
    writeFileSync(join(run, "log"), log);
    await one.publishRun("ftjob-fetched", "run");
    const fetches = Array.from({ length: 4 }, async () => {
      assert.ok(await two.fetchRun("ftjob-fetched", "run"));
      assert.deepEqual(await steps(), [2, 4]);
      assert.equal(readFileSync(join(two.runFolder("ftjob-fetched", "run"), "log"), "utf8"), log);
    });
    await Promise.all(fetches);
  }
  const fetch = (): Promise<boolean> => two.fetchRun("ftjob-fetched", "run");
  await Promise.all([fetch(), two.removeCheckpoint("ftjob-fetched", "run", 2), fetch()]);
  assert.deepEqual(await steps(), [4]);
  await one.fetchRun("ftjob-fetched", "run");
  assert.deepEqual(readdirSync(run), ["checkpoint-4", "log"]);
  // A file that somebody changes is seen, whatever was known of it.
  writeFileSync(join(run, "log"), "3");
  await one.fetchRun("ftjob-fetched", "run");
  assert.equal(readFileSync(join(run, "log"), "utf8"), "2");
});

test("workers with folders of their own take a job over from each other through the store, bit for bit", async () => {
  const model = await writeTinyModel(join(root, "model"));
  const data = writeTinyChats(join(root, "chats.jsonl"), 24);
  const settings = { maxLength: 64, saveEvery: 1, steps: 4, batchSize: 2 };
  await addTrainingFile(await open("server"), data);
  let nowMs = 0;
  const table = new MemoryJobs(() => nowMs);
  const leases: Clock = {
    nowMs: () => nowMs,
    sleep: (timeMs, signal) => systemClock.sleep(Math.min(timeMs, 2), signal),
  };
  const manifest = "some/where/jobs/ftjob-2/run/manifest.json";
  const stalled = new AbortController();
  const first = startWorker({
    table: reachedUnless(() => stalled.signal.aborted, table),
    files: await open("worker-1"),
    model,
    clock: leases,
    leaseMs: 1000,
    onStep: () => {
      if (stalled.signal.aborted || !server.objects.has(manifest)) return;
      stalled.abort();
      nowMs += 10_000;
      void first.close();
    },
  });
  const graft = { ...settings };
  await queueOf(table).submit({
    job: newJob("ftjob-2", { graft }),
    base: "tiny",
    baseName: "tiny",
    initAdapter: null,
  });
  await waitFor(() => stalled.signal.aborted);
  const second = startWorker({ table, files: await open("worker-2"), model, clock: leases, leaseMs: 1e9 });
  const row = await succeeded(table, "ftjob-2");
  await Promise.all([first.close(), second.close()]);
  assert.deepEqual([row.token, row.folder], [2, "run-2"]);
  const served = await open("server");
  await served.fetchRun("ftjob-2", row.folder);
  assert.deepEqual(
    readFileSync(join(served.runFolder("ftjob-2", row.folder), ADAPTER_FILE)),
    await trainAlone({ ...settings, ...HELD, model, data, output: join(root, "alone") }),
  );
  const told = (await toldBy(table, "ftjob-2")).map(({ message }) => message);
  assert.ok(
    told.some((message) => message.startsWith("Resuming after step")),
    told.join("\n"),
  );
});

test("a worker that is told to stop leaves the step that it is at in the store: none is trained again", async () => {
  const model = await writeTinyModel(join(root, "model"));
  const graft = { maxLength: 64, saveEvery: 100, steps: 4, batchSize: 2 };
  const table = new MemoryJobs(() => 0);
  await queueOf(table).submit({
    job: newJob("ftjob-5", { graft }),
    base: "tiny",
    baseName: "tiny",
    initAdapter: null,
  });
  const steps: string[] = [];
  const start = async (name: string) =>
    startWorker({
      table,
      files: await open(name),
      model,
      leaseMs: 1e9,
      onStep: (step) => {
        steps.push(`${name} ${step}`);
        if (steps.length === 2) void first.close();
      },
    });
  const first = await start("stopped");
  await waitFor(async () => steps.length >= 2 && (await table.read("ftjob-5"))?.owner === null);
  const second = await start("next");
  await succeeded(table, "ftjob-5");
  await Promise.all([first.close(), second.close()]);
  assert.deepEqual(steps, ["stopped 1", "stopped 2", "next 3", "next 4"]);
});

test("shares of an averaged job are done by workers with folders of their own, and come to the library's bits", async () => {
  const model = await writeTinyModel(join(root, "averaged-model"));
  const data = writeTinyChats(join(root, "averaged.jsonl"), 24);
  const settings = { maxLength: 64, steps: 2, batchSize: 2, targetModules: ["q_proj"] };
  const rounds = { syncEvery: 1, outerLearningRate: 0.7, outerMomentum: 0.9 };
  await addTrainingFile(await open("averaged-server"), data);
  const table = new MemoryJobs(() => 0);
  const doneBy = new Map<string, Set<string>>();
  const workers = await Promise.all(
    ["left", "right"].map(async (name) =>
      startWorker({
        table,
        files: await open(`averaged-${name}`),
        model,
        leaseMs: 1e9,
        onStep: (step, { share }) => {
          doneBy.set(name, (doneBy.get(name) ?? new Set()).add(`${share}:${step}`));
        },
      }),
    ),
  );
  const graft = { ...settings, averaging: { shares: 2, ...rounds } };
  await queueOf(table).submit({
    job: newJob("ftjob-3", { graft }),
    base: "tiny",
    baseName: "tiny",
    initAdapter: null,
  });
  const row = await succeeded(table, "ftjob-3");
  await Promise.all(workers.map((worker) => worker.close()));
  const all = [...doneBy.values()].flatMap((steps) => [...steps]);
  assert.deepEqual(
    all.toSorted(),
    [0, 1].flatMap((share) => [1, 2].map((step) => `${share}:${step}`)),
  );
  assert.equal(doneBy.size, 2, "one worker did everything");
  const alone = join(root, "averaged-alone");
  await trainAveraged(
    { ...settings, ...HELD, seed: 3, model, data, output: alone },
    { workers: 2, ...rounds },
  );
  const served = await open("averaged-server");
  await served.fetchRun("ftjob-3", row.folder);
  assert.deepEqual(
    readFileSync(join(served.runFolder("ftjob-3", row.folder), ADAPTER_FILE)),
    readFileSync(join(alone, ADAPTER_FILE)),
  );
});
