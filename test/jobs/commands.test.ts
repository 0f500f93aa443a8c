/**
 * @file What clients do to a job that is in work, in any order, twice, and at any moment: it ends as one that nothing
 * happened to, or as it was told to, and what it has told is told once.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ENDED } from "../../src/jobs/job.ts";
import type { JobRow, JobTable } from "../../src/jobs/job-table.ts";
import { StateFolder } from "../../src/jobs/state-folder.ts";
import { Random } from "../../src/random.ts";
import { waitFor } from "../process/wait-for.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { MemoryJobs } from "./memory-jobs.ts";
import { newJob } from "./new-job.ts";
import { ADAPTER_FILE, addTrainingFile, trainAlone } from "./train-alone.ts";
import { HELD, movedClock, queueOf, startWorker } from "./training-workers.ts";
import { toldBy } from "./told.ts";

const STEPS = 10;

const root = temporaryFolder();
const model = await writeTinyModel(join(root, "model"));
const chats = writeTinyChats(join(root, "chats.jsonl"), 24);
const files = new StateFolder(join(root, "state"));
await addTrainingFile(files, chats);
const graft = { maxLength: 64, saveEvery: 4, steps: STEPS, batchSize: 2 };
const alone = await trainAlone({ ...graft, ...HELD, model, data: chats, output: join(root, "alone") });

test("a job is resumed once, however often that is asked: one that runs already is left alone", async () => {
  const queue = queueOf(new MemoryJobs());
  await queue.submit({ job: newJob("ftjob-1"), base: "tiny", baseName: "tiny", initAdapter: null });
  assert.equal(await queue.resume("ftjob-1"), null);
  await queue.pause("ftjob-1");
  assert.equal((await queue.resume("ftjob-1"))?.status, "queued");
  await queue.take("tiny", "w", 1000);
  // Sent when it was paused still.
  assert.equal(await queue.resume("ftjob-1"), null);
  assert.equal((await queue.table.read("ftjob-1"))?.job.status, "validating_files");
  await queue.cancel("ftjob-1");
  assert.equal(await queue.resume("ftjob-1"), null);
});

test("a job at which one worker after another is lost fails, and says what may help", async () => {
  const table = new MemoryJobs(() => 0);
  const queue = queueOf(table);
  await queue.submit({ job: newJob("ftjob-1"), base: "tiny", baseName: "tiny", initAdapter: null });
  // Each lease is over when the next worker asks.
  for (let i = 0; i < 6; i++) assert.ok(await queue.take("tiny", `w${i}`, -1), `worker ${i}`);
  assert.equal(await queue.take("tiny", "last", -1), null);
  const { status, error } = (await table.read("ftjob-1"))!.job;
  assert.deepEqual([status, error?.code], ["failed", "worker_lost"]);
  assert.match(
    error?.message ?? "",
    /^6 workers in a row were lost at this job\. Check their last output; .* choose a lower maxLength or batchSize\.$/,
  );
  assert.equal((await toldBy(table, "ftjob-1")).at(-1)?.message, `The job has failed: ${error?.message}`);
});

/** A table that holds that what has ended stays so, and that no owner is followed by an older one; `onFault`: what is not so. */
function watched(table: JobTable, onFault: (error: unknown) => void): JobTable {
  let last: JobRow | null = null;
  const see = (row: JobRow | undefined): void => {
    if (!row) return;
    try {
      if (last && ENDED.has(last.job.status)) assert.equal(row.job.status, last.job.status);
      assert.ok(row.token >= (last?.token ?? 0));
    } catch (error) {
      // Workers would take it for a table that is away, and try again for ever.
      onFault(error);
    }
    last = row;
  };
  return new Proxy(table, {
    get: (target, key: keyof JobTable) => {
      const call = (target[key] as (...args: unknown[]) => unknown).bind(target);
      if (key !== "withJob" && key !== "withNext") return call;
      return (name: string, decide: (row: JobRow, nowMs: number) => { row?: JobRow }) =>
        call(name, (row: JobRow, nowMs: number) => {
          const decided = decide(row, nowMs);
          see(decided.row);
          return decided;
        });
    },
  });
}

/** What is sent at one moment. */
const SENT = [
  ["pause"],
  ["pause", "pause", "resume"],
  ["resume", "pause", "resume", "resume"],
  ["pause", "resume", "pause"],
  ["resume"],
] as const;
const CANCELS = ["resume", "cancel", "pause", "cancel", "resume"] as const;

for (const seed of [4, 6]) {
  test(`commands at random moments, as drawn from ${seed}, lose no step and repeat none`, async () => {
    const random = new Random(seed);
    const { table: inner, clock } = movedClock();
    const faults: unknown[] = [];
    const onFault = (error: unknown): void => void faults.push(error);
    const table = watched(inner, onFault);
    const id = `ftjob-s${seed}`;
    const queue = queueOf(table);
    const cancelsAt = random.uniform() < 0.3 ? 1 + random.integer(STEPS) : null;
    const send = async (commands: readonly ("pause" | "resume" | "cancel")[]): Promise<void> => {
      await Promise.all(commands.map((command) => queue[command](id)));
    };
    const onStep = (step: number): void => {
      if (step === cancelsAt) void send(CANCELS);
      else if (random.uniform() < 0.5)
        void sleep(random.integer(15)).then(() => send(SENT[random.integer(SENT.length)]!));
    };
    const workers = [1, 2].map(() =>
      startWorker({ table, files, model, clock, leaseMs: 1000, onStep, onFault }),
    );
    await queue.submit({ job: newJob(id, { graft }), base: "tiny", baseName: "tiny", initAdapter: null });
    const row = await waitFor(async () => {
      if (faults.length > 0) throw faults[0];
      const found = await table.read(id);
      if (found?.job.status === "paused") await queue.resume(id);
      return found && ENDED.has(found.job.status) && found.owner === null ? found : null;
    });
    for (const worker of workers) await worker.close();
    assert.deepEqual(faults, []);
    const told = (await toldBy(table, id)).flatMap(({ data }) => data?.["step"] ?? []);
    assert.deepEqual(
      told,
      told.map((_, i) => i + 1),
    );
    assert.equal(row.job.status, cancelsAt === null ? "succeeded" : "cancelled");
    if (cancelsAt === null) {
      assert.deepEqual(readFileSync(join(files.runFolder(id, row.folder), ADAPTER_FILE)), alone);
      assert.equal(told.length, STEPS);
    }
  });
}
