/** @file A worker that dies at each change of the table in turn, kept or not: another ends its job, as one that nothing happened to. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FailedError } from "../../src/errors.ts";
import type { JobRow, JobTable, RowDecision } from "../../src/jobs/job-table.ts";
import { StateFolder } from "../../src/jobs/state-folder.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { newJob } from "./new-job.ts";
import { ADAPTER_FILE, addTrainingFile, trainAlone } from "./train-alone.ts";
import { HELD, movedClock, queueOf, startWorker, succeeded } from "./training-workers.ts";
import { toldBy } from "./told.ts";

const root = temporaryFolder();
const model = await writeTinyModel(join(root, "model"));
const chats = writeTinyChats(join(root, "chats.jsonl"), 24);
const files = new StateFolder(join(root, "state"));
await addTrainingFile(files, chats);
const graft = { maxLength: 64, saveEvery: 2, steps: 4, batchSize: 2 };
let numJobs = 0;
const alone = await trainAlone({ ...graft, ...HELD, model, data: chats, output: join(root, "alone") });

/** What a write changes beside the time until which somebody has the job. */
function changedBy(before: JobRow, after: JobRow | undefined): boolean {
  const partOf = ({ job, folder, owner, round, shares }: JobRow): string =>
    JSON.stringify([
      job,
      folder,
      owner,
      round,
      shares.map(({ token, owner: by, done }) => [token, by, done]),
    ]);
  return after !== undefined && partOf(before) !== partOf(after);
}

/** A table as one process has it, which dies at the n-th write that changes something: it takes place or not, and is not heard. */
function diesAt(nth: number, isDone: boolean, table: JobTable, die: () => void): JobTable {
  let numWrites = 0;
  const requireAlive = (): void => {
    if (numWrites >= nth) throw new FailedError("failed/database", "Cannot reach it");
  };
  return new Proxy(table, {
    get: (target, key: keyof JobTable) => {
      const call = (target[key] as (...args: unknown[]) => Promise<unknown>).bind(target);
      if (key === "close") return call;
      return async (name: string, decide: (row: JobRow, nowMs: number) => RowDecision<unknown>) => {
        requireAlive();
        if (key !== "withJob" && key !== "withNext") return await call(name, decide);
        const result = await call(name, (row: JobRow, nowMs: number) => {
          const decided = decide(row, nowMs);
          if (!changedBy(row, decided.row) || ++numWrites < nth) return decided;
          die();
          return isDone ? decided : { result: null };
        });
        requireAlive();
        return result;
      };
    },
  });
}

/** It is taken, it begins, and it ends. */
for (const nth of [1, 2, 3]) {
  for (const isDone of [true, false]) {
    test(`the worker of a job dies at its change ${nth}, which is ${isDone ? "" : "not "}kept`, async () => {
      const { table, clock, pass } = movedClock();
      const id = `ftjob-${numJobs++}`;
      let second = null as ReturnType<typeof startWorker> | null;
      const dying = diesAt(nth, isDone, table, () => {
        pass(10_000);
        void first.close();
        second = startWorker({ table, files, model, clock, leaseMs: 1e9 });
      });
      const job = newJob(id, { graft });
      const first = startWorker({ table: dying, files, model, clock, leaseMs: 1000 });
      await queueOf(table).submit({ job, base: "tiny", baseName: "tiny", initAdapter: null });
      const row = await succeeded(table, id);
      await first.close();
      await second?.close();
      assert.notEqual(second, null);
      assert.equal(row.owner, null);
      assert.deepEqual(readFileSync(join(files.runFolder(id, row.folder), ADAPTER_FILE)), alone);
      const told = await toldBy(table, id);
      assert.equal(told.filter(({ message }) => message.startsWith("The job has succeeded")).length, 1);
      assert.deepEqual(
        told.flatMap(({ data }) => data?.["step"] ?? []),
        [1, 2, 3, 4],
      );
    });
  }
}
