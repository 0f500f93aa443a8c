/** @file Workers that train, in one process: on the tiny model, with a table and a folder that they share. */
import { FailedError } from "../../src/errors.ts";
import { makeSampleWriter } from "../../src/engine/sample-writer.ts";
import type { Clock } from "../../src/jobs/queue/clock.ts";
import { JobQueue } from "../../src/jobs/queue/job-queue.ts";
import type { JobRow, JobTable } from "../../src/jobs/job-table.ts";
import { JobWorker } from "../../src/jobs/queue/job-worker.ts";
import { placesFor } from "../../src/jobs/training/places.ts";
import type { StateFolder } from "../../src/jobs/state-folder.ts";
import { systemClock } from "../../src/jobs/queue/system-clock.ts";
import { trainJob } from "../../src/jobs/training/train-job.ts";
import { waitFor } from "../process/wait-for.ts";
import { MemoryJobs } from "./memory-jobs.ts";

/** How the model is held. */
export const HELD = {
  compute: "f32",
  weights: "float32",
  chatTemplate: "chatml",
  threads: 1,
  base: undefined,
} as const;

let numIds = 0;

export function queueOf(table: JobTable): JobQueue {
  return new JobQueue({ table, maxWaiting: 9, now: () => 7, newId: () => `${numIds++}` });
}

interface TrainingWorkerParts {
  readonly table: JobTable;
  readonly files: StateFolder;
  readonly model: string;
  readonly clock?: Clock;
  readonly leaseMs?: number;
  /** Is told when a step of a training has ended. */
  readonly onStep?: (step: number, row: JobRow) => void;
  readonly onFault?: (error: unknown) => void;
}

export function startWorker({
  table,
  files,
  model,
  clock = systemClock,
  leaseMs = 60_000,
  onStep = () => {},
  onFault = () => {},
}: TrainingWorkerParts): JobWorker {
  const worker = new JobWorker({
    queue: queueOf(table),
    base: "tiny",
    owner: `w${numIds++}`,
    clock,
    leaseMs,
    pollMs: 2,
    onTrouble: () => {},
    isReady: () => files.requireFiles(),
    work: (taken, lease) => {
      const tell = lease.tell.bind(lease);
      lease.tell = (telling, numSteps) => {
        tell(telling, numSteps);
        if (telling.data?.["train_loss"] !== undefined) onStep(numSteps ?? 0, lease.row);
      };
      return trainJob(taken, lease, {
        files,
        placesOf: (row) => placesFor(row, files, { ...HELD, model, width: 16 }),
        share: null,
        nameOf: ({ id }) => `ft:${id}`,
        now: () => 9,
        env: process.env,
        makeSampleWriter,
        troubles: { onTrouble: onFault },
      });
    },
  });
  worker.start();
  return worker;
}

/** A table of jobs with a clock that stands still but when it is told to pass; who sleeps does so for 2 ms at most. */
export function movedClock(): {
  readonly table: MemoryJobs;
  readonly clock: Clock;
  readonly pass: (timeMs: number) => void;
} {
  let nowMs = 0;
  return {
    table: new MemoryJobs(() => nowMs),
    clock: {
      nowMs: () => nowMs,
      sleep: (timeMs, signal) => systemClock.sleep(Math.min(timeMs, 2), signal),
    },
    pass: (timeMs) => void (nowMs += timeMs),
  };
}

/** A table that cannot be reached at times. */
export function reachedUnless(isDown: () => boolean, table: JobTable): JobTable {
  return new Proxy<JobTable>(table, {
    get: (target, key: keyof JobTable) => {
      if (isDown())
        return () => Promise.reject(new FailedError("failed/database", "Cannot reach 10.0.0.9:5432"));
      return (target[key] as (...args: unknown[]) => unknown).bind(target);
    },
  });
}

/** Waits until a job has succeeded; one that has failed fails the test. */
export function succeeded(table: JobTable, id: string): Promise<JobRow> {
  return waitFor(async () => {
    const row = await table.read(id);
    if (row?.job.status === "failed") throw new Error(row.job.error?.message);
    return row?.job.status === "succeeded" ? row : null;
  });
}
