/** @file Jobs whose store of files is away for long: none fails, and what they have trained is there when it answers again. */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import * as node from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import type { Clock } from "../../src/jobs/queue/clock.ts";
import { systemClock } from "../../src/jobs/queue/system-clock.ts";
import type { StateFolder } from "../../src/jobs/state-folder.ts";
import { withDisk } from "../../src/format/files/disk/calls.ts";
import { openState, untilAnswered } from "../../src/jobs/store/open-state.ts";
import { trainAveraged } from "../../src/train/files/averaged-training.ts";
import { waitFor } from "../process/wait-for.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { MemoryJobs } from "./memory-jobs.ts";
import { newJob } from "./new-job.ts";
import { BUCKET, startS3 } from "./s3-server.ts";
import { toldBy } from "./told.ts";
import { ADAPTER_FILE, addTrainingFile, trainAlone } from "./train-alone.ts";
import { HELD, queueOf, reachedUnless, startWorker, succeeded } from "./training-workers.ts";

const AWAY = "The store of the server does not answer, or refuses; retrying until it does";
const BACK = "The store of the server answers; the job continues";
/** Waits between two tries of a worker, as it asks its clock for them. */
const WAITS_MS = [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => 1000 * seconds);

const root = temporaryFolder();
const server = await startS3();
after(() => server.close());
const model = await writeTinyModel(join(root, "model"));
const data = writeTinyChats(join(root, "chats.jsonl"), 24);
const settings = { maxLength: 64, saveEvery: 1, steps: 4, batchSize: 2 };
const open = (name: string): Promise<StateFolder> =>
  openState({ folder: join(root, name), store: `s3://${BUCKET}`, env: server.env, clock: systemClock });
await addTrainingFile(await open("server"), data);

/** A clock that only `pass` moves on, and what was asked of it in whole seconds, but for beats. */
function countedClock() {
  let nowMs = 0;
  const waited: number[] = [];
  const sleep: Clock["sleep"] = (timeMs, signal) => {
    if (WAITS_MS.includes(timeMs)) waited.push(timeMs);
    return systemClock.sleep(Math.min(timeMs, 2), signal);
  };
  return { waited, clock: { nowMs: () => nowMs, sleep }, pass: (timeMs: number) => void (nowMs += timeMs) };
}

async function submit(table: MemoryJobs, id: string, graft: Record<string, unknown> = settings) {
  const job = newJob(id, { graft });
  await queueOf(table).submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
}

async function messagesOf(table: MemoryJobs, id: string): Promise<string[]> {
  return (await toldBy(table, id)).map(({ message }) => message);
}

function numOf(messages: readonly string[], start: string): number {
  return messages.filter((message) => message.startsWith(start)).length;
}

async function trained(id: string, folder: string): Promise<Buffer> {
  const served = await open(`served-${id}`);
  await served.fetchRun(id, folder);
  return readFileSync(join(served.runFolder(id, folder), ADAPTER_FILE));
}

test("a worker that starts while the store is away waits for it, until it answers, refuses or the worker is to stop", async () => {
  const { waited, clock } = countedClock();
  const told: string[] = [];
  const stop = new AbortController();
  const start = async (env = server.env): Promise<StateFolder> => {
    const files = await openState({ folder: join(root, "starts"), store: `s3://${BUCKET}`, env, clock });
    await untilAnswered(files, {
      clock,
      signal: stop.signal,
      troubles: { onTrouble: (error) => told.push(String(error)), onRecovered: () => told.push("over") },
      onAway: () => told.push("away"),
    });
    return files;
  };
  server.drops = () => waited.length < 4;
  await (await start()).listFiles();
  server.drops = () => false;
  assert.deepEqual(waited.splice(0), WAITS_MS.slice(0, 4));
  assert.match(told[0] ?? "", /Cannot list "s3:/);
  assert.deepEqual(told.splice(0).slice(1), ["away", "over"]);
  const wrong = { ...server.env, AWS_ACCESS_KEY_ID: "other" };
  await assert.rejects(start(wrong), { code: "failed/store", message: /InvalidAccessKeyId/ });
  assert.deepEqual([waited, told], [[], []], "what the store refuses is not waited for");
  server.drops = () => true;
  const stopped = assert.rejects(start(), { name: "AbortError" });
  await waitFor(() => waited.length > 1);
  stop.abort();
  await stopped;
  server.drops = () => false;
});

test("a job whose result the store does not take for long is tried again ever more rarely, and succeeds when it does", async () => {
  const { waited, clock } = countedClock();
  const table = new MemoryJobs(() => 0);
  const steps: number[] = [];
  const faults: unknown[] = [];
  const onStep = (step: number): void => {
    steps.push(step);
    if (step === 2) server.refuses = () => true;
  };
  const onFault = (error: unknown): void => void faults.push(error);
  const worker = startWorker({
    table,
    files: await open("patient"),
    model,
    clock,
    leaseMs: 1e9,
    onStep,
    onFault,
  });
  await submit(table, "ftjob-1");
  await waitFor(() => waited.length === WAITS_MS.length);
  const { job } = (await table.read("ftjob-1"))!;
  assert.equal(job.status, "running");
  server.refuses = () => false;
  const row = await succeeded(table, "ftjob-1");
  await worker.close();
  assert.deepEqual(waited, WAITS_MS);
  assert.deepEqual([row.token, row.folder, steps], [1, "run", [1, 2, 3, 4]]);
  const told = await messagesOf(table, "ftjob-1");
  assert.deepEqual(
    [AWAY, BACK, "The job has succeeded"].map((start) => numOf(told, start)),
    [1, 1, 1],
  );
  assert.equal(new Set(faults.map(String)).size, faults.length);
  assert.deepEqual(
    await trained("ftjob-1", "run"),
    await trainAlone({ ...settings, ...HELD, model, data, output: join(root, "alone-1") }),
  );
});

test("a job that is cancelled, or whose worker is to stop, while the store is away waits no longer", async () => {
  const { waited, clock } = countedClock();
  const table = new MemoryJobs(() => 0);
  const files = await open("stopped");
  server.refuses = () => true;
  const worker = startWorker({ table, files, model, clock, leaseMs: 1e9 });
  await submit(table, "ftjob-2");
  await waitFor(() => waited.length > 1);
  await queueOf(table).cancel("ftjob-2");
  await submit(table, "ftjob-3");
  await waitFor(async () => (await table.read("ftjob-3"))?.owner);
  await worker.close();
  const rows = await table.list();
  assert.deepEqual(
    rows.map(({ job: { status }, owner }) => [status, owner]),
    [
      ["cancelled", null],
      ["queued", null],
    ],
  );
  server.refuses = () => false;
});

test("a job whose result no store takes for days fails, is kept in a folder that stays, and the next job is tried", async () => {
  const { waited, clock, pass } = countedClock();
  const table = new MemoryJobs(() => 0);
  const faults: string[] = [];
  const worker = startWorker({
    table,
    files: await open("days"),
    model,
    clock,
    leaseMs: 1e9,
    onStep: () => void (server.refuses = (said) => said.includes("ftjob-6")),
    onFault: (error) => void faults.push(String(error)),
  });
  await submit(table, "ftjob-6");
  await submit(table, "ftjob-7");
  await waitFor(() => waited.length > 2);
  assert.equal((await table.read("ftjob-6"))?.job.status, "running");
  pass(3 * 24 * 3600e3);
  await succeeded(table, "ftjob-7");
  await worker.close();
  server.refuses = () => false;
  const { job, owner, folder } = (await table.read("ftjob-6"))!;
  assert.deepEqual([job.status, job.error?.code, owner], ["failed", "failed/store", null]);
  assert.ok(
    !JSON.stringify([job, await messagesOf(table, "ftjob-6")]).includes(root),
    "clients see no paths",
  );
  const [, kept = ""] = /it is kept in "([^"]+)"/.exec(faults.join("\n")) ?? [];
  assert.deepEqual([dirname(dirname(kept)), statSync(dirname(kept)).mode & 0o77], [root, 0]);
  assert.deepEqual(
    readFileSync(join(kept, ADAPTER_FILE)),
    await trainAlone({ ...settings, ...HELD, model, data, output: join(root, "alone-6") }),
  );
  assert.equal(folder, "run");
});

test("a job whose result cannot be put into the store at all fails, and is kept in a folder that stays", async () => {
  const table = new MemoryJobs(() => 0);
  const faults: string[] = [];
  const output = join(root, "alone-8");
  const alone = await trainAlone({ ...settings, ...HELD, model, data, output });
  const open8 = (async (path, flags) => {
    if (String(path).endsWith(join("run", ADAPTER_FILE)) && flags === "r")
      throw Object.assign(new Error("EIO: i/o error, open"), { code: "EIO", syscall: "open" });
    return await node.open(path, flags);
  }) as typeof node.open;
  const files = await open("unreadable");
  const worker = withDisk({ ...node, open: open8 }, async () =>
    startWorker({ table, files, model, leaseMs: 1e9, onFault: (error) => void faults.push(String(error)) }),
  );
  await submit(table, "ftjob-8");
  await waitFor(async () => (await table.read("ftjob-8"))?.job.status === "failed");
  await (await worker).close();
  const { job } = (await table.read("ftjob-8"))!;
  assert.equal(job.error?.code, "format/file");
  assert.ok(!job.error.message.includes(root), "clients see no paths");
  const [, kept = ""] = /it is kept in "([^"]+)"/.exec(faults.join("\n")) ?? [];
  assert.deepEqual(readFileSync(join(kept, ADAPTER_FILE)), alone);
});

test("a job whose worker is lost while the store is away is ended by another from its checkpoint, once and bit for bit", async () => {
  const { waited, clock, pass } = countedClock();
  const table = new MemoryJobs(() => clock.nowMs());
  const [lost, next] = [await open("lost"), await open("next")];
  let isLost = false;
  const first = startWorker({
    table: reachedUnless(() => isLost, table),
    files: lost,
    model,
    clock,
    leaseMs: 1000,
    onStep: () => void (server.refuses = () => server.objects.has("jobs/ftjob-4/run/manifest.json")),
  });
  await submit(table, "ftjob-4");
  await waitFor(() => waited.length > 2);
  isLost = true;
  pass(10_000);
  const before = waited.length;
  const second = startWorker({ table, files: next, model, clock, leaseMs: 1e9 });
  await waitFor(() => waited.length > before + 2);
  server.refuses = () => false;
  const row = await succeeded(table, "ftjob-4");
  await Promise.all([first.close(), second.close()]);
  assert.deepEqual([row.token, row.folder], [2, "run-2"]);
  const told = await messagesOf(table, "ftjob-4");
  assert.deepEqual(
    [BACK, "Resuming after step", "The job has succeeded"].map((start) => numOf(told, start)),
    [1, 1, 1],
  );
  assert.deepEqual(
    await trained("ftjob-4", "run-2"),
    await trainAlone({ ...settings, ...HELD, model, data, output: join(root, "alone-4") }),
  );
});

test("shares and rounds of an averaged job wait for the store too, and come to the library's bits", async () => {
  const { waited, clock } = countedClock();
  const table = new MemoryJobs(() => 0);
  const own = { maxLength: 64, steps: 2, batchSize: 2, targetModules: ["q_proj"] };
  const rounds = { syncEvery: 1, outerLearningRate: 0.7, outerMomentum: 0.9 };
  // Every piece meets it: each request is refused the first time.
  const met = new Set<string>();
  server.refuses = (said) => said.includes("ftjob-5") && met.size < met.add(said).size;
  const worker = startWorker({ table, files: await open("averaged"), model, clock, leaseMs: 1e9 });
  await submit(table, "ftjob-5", { ...own, averaging: { shares: 2, ...rounds } });
  const row = await succeeded(table, "ftjob-5");
  await worker.close();
  server.refuses = () => false;
  assert.ok(waited.length > 6, `${waited.length} waits`);
  const output = join(root, "alone-5");
  await trainAveraged({ ...own, ...HELD, seed: 3, model, data, output }, { workers: 2, ...rounds });
  assert.deepEqual(await trained("ftjob-5", row.folder), readFileSync(join(output, ADAPTER_FILE)));
});
