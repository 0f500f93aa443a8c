/** @file Jobs whose numbers leave the finite ones, at the last step too, where no step comes behind it that would show it. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Job } from "../../src/jobs/job.ts";
import { StateFolder } from "../../src/jobs/state-folder.ts";
import { waitFor } from "../process/wait-for.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { MemoryJobs } from "./memory-jobs.ts";
import { newJob } from "./new-job.ts";
import { ADAPTER_FILE, addTrainingFile } from "./train-alone.ts";
import { queueOf, startWorker } from "./training-workers.ts";
import { toldBy } from "./told.ts";

const root = temporaryFolder();
const model = await writeTinyModel(join(root, "model"));
const files = new StateFolder(join(root, "state"));
await addTrainingFile(files, writeTinyChats(join(root, "chats.jsonl"), 24));
let numJobs = 0;

/** Runs a job to its end: what became of it, what it told, and the steps of its checkpoints. */
async function run(
  graft: object,
  more: Partial<Job> = {},
): Promise<{ job: Job; told: string[]; kept: number[] }> {
  const table = new MemoryJobs();
  const id = `ftjob-${numJobs++}`;
  const worker = startWorker({ table, files, model });
  const job = newJob(id, { graft: { maxLength: 64, batchSize: 2, saveEvery: 1, ...graft }, ...more });
  await queueOf(table).submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
  const row = await waitFor(async () => {
    const found = await table.read(id);
    return found?.job.finished_at == null ? null : found;
  });
  await worker.close();
  assert.ok(
    row.job.status === "succeeded" || !existsSync(join(files.runFolder(id, row.folder), ADAPTER_FILE)),
  );
  const told = (await toldBy(table, id)).map(({ level, message }) => `${level} ${message}`);
  const kept = (await files.listCheckpoints(id, row.folder)).map(({ step }) => step);
  return { job: row.job, told, kept };
}

/** Checks that a job has failed as one that left the finite numbers, in a step, and says what to do about it. */
function requireFailed({ job, told }: { job: Job; told: readonly string[] }, step: number): void {
  assert.equal(job.status, "failed");
  assert.equal(job.fine_tuned_model, null);
  assert.deepEqual(Object.keys(job.error ?? {}).toSorted(), ["code", "message", "param"]);
  assert.equal(job.error?.code, "train/nan", job.error?.message);
  assert.equal(job.error?.param, null);
  assert.match(job.error?.message ?? "", new RegExp(`in step ${step}\\. Choose a lower .*\\.$`));
  assert.equal(told.at(-1), `error The job has failed: ${job.error?.message}`);
}

test("a last step after which parameters are not finite, or too large to compute with, fails the job; checkpoints before it stay", async () => {
  const first = await run({ steps: 1, learningRate: 1e39 });
  requireFailed(first, 1);
  assert.deepEqual(first.kept, []);
  const large = await run({ steps: 1, learningRate: 1e30 });
  requireFailed(large, 1);
  assert.deepEqual(large.kept, []);
  // A warm-up begins at 0.
  const second = await run({ steps: 2, learningRate: 3e19, warmupSteps: 1, schedule: "constant" });
  requireFailed(second, 2);
  assert.deepEqual(second.kept, [1]);
});

test("a last step after which the loss of held-out data is no number fails the job", async () => {
  const large = { learningRate: 1.5e19, steps: 1 };
  const held = await run(large, { validation_file: "file-1" });
  requireFailed(held, 1);
  assert.deepEqual(held.kept, []);
  assert.match(held.job.error?.message ?? "", /validation loss NaN/);
  // What is kept of a run that keeps its best is not what came last.
  const best = await run({ ...large, evalMetric: "loss" }, { validation_file: "file-1" });
  assert.equal(best.job.status, "succeeded");
  assert.deepEqual(best.kept, [0]);
});

test("a run that keeps its best saves no checkpoint that nothing can be computed with beside it", async () => {
  // A warm-up begins at 0: nothing moves in the first step.
  const large = { learningRate: 1.5e19, warmupSteps: 1, schedule: "constant", evalMetric: "loss" };
  const held = { validation_file: "file-1" };
  const last = await run({ ...large, steps: 2 }, held);
  assert.equal(last.job.status, "succeeded", last.job.error?.message);
  assert.deepEqual(last.kept, [0, 1]);
  for (const evalEvery of [1, 3]) {
    const before = await run({ ...large, steps: 3, evalEvery }, held);
    requireFailed(before, 2);
    assert.deepEqual(before.kept, [0, 1]);
  }
});

test("a last step after which the loss of the training data is no number fails a job without other data", async () => {
  const failed = await run({ learningRate: 1.5e19, steps: 1 });
  requireFailed(failed, 1);
  assert.deepEqual(failed.kept, []);
  assert.match(failed.job.error?.message ?? "", /the loss is NaN/);
});

test("an outer step that leaves the finite numbers fails an averaged job, and is no checkpoint", async () => {
  const averaging = { shares: 2, syncEvery: 1, outerLearningRate: 1e39 };
  const failed = await run({ steps: 1, learningRate: 1, averaging });
  requireFailed(failed, 1);
  assert.deepEqual(failed.kept, []);
});
