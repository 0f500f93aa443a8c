/**
 * @file Workers that share a table and a folder: one that is lost, one that stalls and comes back, and a table that cannot be
 * reached. Whatever happens, the adapter is that of a training that nothing happened to.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FailedError } from "../../src/errors.ts";
import { StateFolder } from "../../src/jobs/state-folder.ts";
import { waitFor } from "../process/wait-for.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { MemoryJobs } from "./memory-jobs.ts";
import { newJob } from "./new-job.ts";
import { ADAPTER_FILE, addTrainingFile, trainAlone } from "./train-alone.ts";
import { HELD, movedClock, queueOf, reachedUnless, startWorker, succeeded } from "./training-workers.ts";
import { toldBy } from "./told.ts";

const root = temporaryFolder();
const model = await writeTinyModel(join(root, "model"));
const chats = writeTinyChats(join(root, "chats.jsonl"), 24);
const files = new StateFolder(join(root, "state"));
await addTrainingFile(files, chats);
const graft = { maxLength: 64, saveEvery: 2, steps: 8, batchSize: 2 };
const alone = await trainAlone({ ...graft, ...HELD, model, data: chats, output: join(root, "alone") });
const read = (id: string, run: string): Buffer => readFileSync(join(files.runFolder(id, run), ADAPTER_FILE));

test("a worker that stalls past its lease stops at its next step and writes nothing more; another ends the job, bit for bit", async () => {
  const { table, clock, pass } = movedClock();
  let written: string[] = [];
  const steps: number[] = [];
  let second = null as ReturnType<typeof startWorker> | null;
  const onStep = (step: number): void => {
    steps.push(step);
    // As if the process had stood still for long, beats and all.
    if (step !== 5) return;
    pass(10_000);
    // It would take its own job again, before the other does.
    void first.close();
    written = readdirSync(files.runFolder("ftjob-1", "run")).toSorted();
    // Before the first comes to its next step, where it would give the job back.
    second = startWorker({ table, files, model, clock, leaseMs: 1e9 });
  };
  const first = startWorker({ table, files, model, clock, leaseMs: 1000, onStep });
  await queueOf(table).submit({
    job: newJob("ftjob-1", { graft }),
    base: "tiny",
    baseName: "tiny",
    initAdapter: null,
  });
  await succeeded(table, "ftjob-1");
  await second?.close();
  await first.close();
  assert.deepEqual(steps, [1, 2, 3, 4, 5]);
  const row = await table.read("ftjob-1");
  assert.equal(row?.folder, `run-${row?.token}`);
  assert.deepEqual(read("ftjob-1", row?.folder ?? ""), alone);
  assert.ok(!existsSync(join(files.runFolder("ftjob-1", "run"), ADAPTER_FILE)));
  assert.deepEqual(
    readdirSync(files.runFolder("ftjob-1", "run")).filter((name) => name.startsWith("checkpoint-")),
    written.filter((name) => name.startsWith("checkpoint-")),
  );
  const told = (await toldBy(table, "ftjob-1")).map(({ message }) => message);
  assert.equal(told.filter((message) => message.startsWith("The job has succeeded")).length, 1);
  assert.ok(told.includes("Resuming after step 4"), told.join("\n"));
});

test("a worker that stood still past its lease, with nobody else to take the job, goes on with it where it was", async () => {
  const { table, clock, pass } = movedClock();
  const steps: number[] = [];
  const onStep = (step: number): void => {
    steps.push(step);
    if (step === 5 && steps.length === 5) pass(10_000);
  };
  const worker = startWorker({ table, files, model, clock, leaseMs: 1000, onStep });
  const job = newJob("ftjob-5", { graft });
  await queueOf(table).submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
  await succeeded(table, "ftjob-5");
  await worker.close();
  // It had no time for a checkpoint of the fifth, which is done again and not told again.
  assert.deepEqual(steps, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal((await table.read("ftjob-5"))?.folder, "run");
  assert.deepEqual(read("ftjob-5", "run"), alone);
  const told = (await toldBy(table, "ftjob-5")).map(({ message }) => message);
  assert.equal(told.filter((message) => message.startsWith("Step ")).length, 8, told.join("\n"));
  assert.ok(
    told.includes("Resuming after step 4") && !told.some((each) => each.includes("lost")),
    told.join("\n"),
  );
});

for (const [nth, heir] of ["another worker", "its server, started again"].entries()) {
  test(`what a worker could not tell before it was lost is told by who goes on from its checkpoint: ${heir}`, async () => {
    let isDown = false;
    const { table, clock, pass } = movedClock();
    const queue = queueOf(table);
    let second = null as ReturnType<typeof startWorker> | null;
    const goOn = async (): Promise<void> => {
      if (nth === 1) await queue.takeBackAll();
      second = startWorker({ table, files, model, clock, leaseMs: 1e9 });
    };
    const onStep = (step: number): void => {
      if (step === 2) isDown = true;
      if (step !== 7) return;
      pass(10_000);
      void first.close();
      void goOn();
    };
    const reached = reachedUnless(() => isDown, table);
    const first = startWorker({ table: reached, files, model, clock, leaseMs: 1000, onStep });
    const job = newJob(`ftjob-4-${nth}`, { graft });
    await queue.submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
    const row = await succeeded(table, job.id);
    await second?.close();
    await first.close();
    assert.equal(row.folder, nth === 1 ? "run" : `run-${row.token}`);
    const told = (await toldBy(table, job.id)).flatMap(({ data }) => data?.["step"] ?? []);
    assert.deepEqual(told, [1, 2, 3, 4, 5, 6, 7, 8]);
  });
}

test("what was told of steps that no checkpoint kept is not told again by who does them again", async () => {
  const { table, clock, pass } = movedClock();
  let second = null as ReturnType<typeof startWorker> | null;
  const onStep = (step: number): void => {
    if (step !== 7) return;
    pass(10_000);
    void first.close();
    second = startWorker({ table, files, model, clock, leaseMs: 1e9 });
  };
  const first = startWorker({ table, files, model, clock, leaseMs: 1000, onStep });
  const job = newJob("ftjob-7", { graft: { ...graft, saveEvery: 4, evalEvery: 2 } });
  job.validation_file = job.training_file;
  await queueOf(table).submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
  await succeeded(table, "ftjob-7");
  await second?.close();
  await first.close();
  const told = (await toldBy(table, "ftjob-7")).flatMap(({ data }) => (data?.["step"] as number) ?? []);
  assert.deepEqual(
    told.toSorted((a, b) => a - b),
    [0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8],
  );
});

test("a table that cannot be reached for a while does not stop a training, and misses nothing that was told", async () => {
  const { table: inner, clock } = movedClock();
  let isDown = false;
  const table = reachedUnless(() => isDown, inner);
  const onStep = (step: number): void => {
    if (step === 2) isDown = true;
    if (step === 8) isDown = false;
  };
  const worker = startWorker({ table, files, model, clock, leaseMs: 3000, onStep });
  await queueOf(inner).submit({
    job: newJob("ftjob-2", { graft }),
    base: "tiny",
    baseName: "tiny",
    initAdapter: null,
  });
  await queueOf(inner).submit({
    job: newJob("ftjob-3", { graft }),
    base: "other",
    baseName: "tiny",
    initAdapter: null,
  });
  await succeeded(inner, "ftjob-2");
  await worker.close();
  assert.deepEqual(read("ftjob-2", "run"), alone);
  const told = (await toldBy(inner, "ftjob-2")).filter(({ type }) => type === "metrics");
  assert.deepEqual(
    told.map(({ data }) => data?.["step"]),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
  assert.equal((await inner.read("ftjob-3"))?.token, 0, "a job of another base is left alone");
});

test("a job that takes more memory than there is, is told what it can choose itself, by its own keys", async () => {
  const table = new MemoryJobs();
  const worker = startWorker({ table, files, model });
  // Alone it would take some terabytes.
  const job = newJob("ftjob-9", { graft: { ...graft, rank: 1_000_000_000 } });
  await queueOf(table).submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
  const ended = await waitFor(async () => {
    const row = await table.read(job.id);
    return row?.job.status === "failed" ? row.job : null;
  });
  await worker.close();
  const message = ended.error?.message ?? "";
  assert.match(
    message,
    /Cannot train with this plan.* at least about .*, with graft\.gradientCheckpointing \S+ graft\./,
  );
  assert.doesNotMatch(message, /--/);
});

test("of a store that is damaged, clients are told that alone; the log has where it is and what to do", async () => {
  const away = new StateFolder(join(root, "state"));
  const found = new FailedError("failed/store", 'Cannot read "s3://secret/run" at http://10.0.0.9', {
    hint: "Check AWS_ENDPOINT_URL.",
  });
  away.fetchRun = () => Promise.reject(found);
  const table = new MemoryJobs();
  const faults: unknown[] = [];
  const worker = startWorker({ table, files: away, model, onFault: (error) => faults.push(error) });
  const job = newJob("ftjob-6", { graft });
  await queueOf(table).submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
  const ended = await waitFor(async () => {
    const row = await table.read(job.id);
    return row?.job.status === "failed" ? row.job : null;
  });
  await worker.close();
  const message = "The store of the server does not answer, or refuses: try again shortly";
  assert.deepEqual(ended.error, { code: "failed/store", message, param: null });
  assert.equal((await toldBy(table, job.id)).at(-1)?.message, `The job has failed: ${message}`);
  assert.deepEqual(faults, [found]);
});
