/**
 * @file Many workers on a virtual clock: the queue, leases and workers are those of the program, only their work is made up.
 *
 * Workers crash and come back, stand still, have clocks of other rates, and lose their messages on the way there or back.
 */
import { FailedError } from "../../src/errors.ts";
import { JobQueue } from "../../src/jobs/queue/job-queue.ts";
import type { JobTable } from "../../src/jobs/job-table.ts";
import { JobWorker } from "../../src/jobs/queue/job-worker.ts";
import type { Lease } from "../../src/jobs/queue/lease.ts";
import type { Random } from "../../src/random.ts";
import { MemoryJobs } from "./memory-jobs.ts";
import { newJob } from "./new-job.ts";
import { VirtualTime } from "./virtual-clock.ts";
import { toldBy } from "./told.ts";

export interface SimulationOptions {
  readonly numWorkers: number;
  readonly numJobs: number;
  readonly numBases: number;
  readonly random: Random;
  /** Chances, each of a step. */
  readonly crash: number;
  readonly stall: number;
  /** Of a message to the table, on the way there and as much on the way back. */
  readonly loss: number;
  /** Largest deviation of a clock's rate. */
  readonly skew: number;
}

/** What happened. */
export interface Simulated {
  /** Step of each job that was written by two owners, each of whom thought it was its own: none. */
  readonly conflicts: string[];
  /** How often jobs were told to have ended that have: once each. */
  readonly numEnds: Set<number>;
  readonly statuses: Map<string, number>;
  readonly numCrashes: number;
  readonly numTakenOver: number;
  readonly hours: number;
}

const LEASE_MS = 60_000;
const STEP_MS = 20_000;
const NUM_STEPS = 3;

export async function simulate(options: SimulationOptions): Promise<Simulated> {
  const { numWorkers, numJobs, numBases, random, crash, stall, loss, skew } = options;
  const time = new VirtualTime();
  const table = new MemoryJobs(() => time.nowMs);
  const conflicts: string[] = [];
  /** Who last wrote for a job. */
  const holders = new Map<string, { readonly owner: string; readonly lease: Lease }>();
  let [numIds, numCrashes, numTakenOver, numLeft] = [0, 0, 0, numJobs];

  /** The table as one worker reaches it, who hears of nothing while it stands still, or ever again when it has crashed. */
  const reach = (isUp: () => boolean, stillUntilMs: () => number): JobTable =>
    new Proxy<JobTable>(table, {
      get: (target, key: keyof JobTable) => {
        const value: unknown = target[key];
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          const fate = random.uniform();
          await time.wait(Math.max(stillUntilMs() - time.nowMs, 5 + 200 * random.uniform()));
          if (!isUp()) return await new Promise(() => {});
          const lost = new FailedError("failed/database", "Cannot reach the database: lost");
          if (fate < loss) throw lost;
          const result: unknown = await (value as (...args: unknown[]) => unknown).apply(target, args);
          await time.wait(5 + 50 * random.uniform());
          if (!isUp()) return await new Promise(() => {});
          if (fate > 1 - loss) throw lost;
          return result;
        };
      },
    });

  const startWorker = (base: string): void => {
    let [isUp, stillUntilMs] = [true, 0];
    const owner = `worker-${numIds++}`;
    const clock = time.clock(1e9 * random.uniform(), 1 + skew * (2 * random.uniform() - 1));
    const newId = (): string => `${numIds++}`;
    const queue = new JobQueue({
      table: reach(
        () => isUp,
        () => stillUntilMs,
      ),
      maxWaiting: numJobs,
      now: () => 0,
      newId,
    });
    const worker = new JobWorker({
      queue,
      base,
      owner,
      clock,
      leaseMs: LEASE_MS,
      pollMs: 60_000,
      onTrouble: () => {},
      work: async (taken, lease) => {
        const { id } = taken.row.job;
        if (taken.isFromLost) numTakenOver++;
        await lease.change({ status: "running" });
        for (let step = taken.row.maxSteps + 1; step <= NUM_STEPS; step++) {
          await time.wait(STEP_MS * (0.5 + random.uniform()));
          if (random.uniform() < stall) {
            stillUntilMs = time.nowMs + 3 * LEASE_MS * random.uniform();
            await time.wait(stillUntilMs - time.nowMs);
          }
          if (random.uniform() < crash) {
            isUp = false;
            numCrashes++;
            setTimeoutOf(time, 60_000 * random.uniform(), () => startWorker(base));
            return await new Promise<void>(() => {});
          }
          if (lease.signal.aborted || !lease.isHeld()) return;
          const other = holders.get(id);
          if (other && other.owner !== owner && other.lease.isHeld()) conflicts.push(`${id} at step ${step}`);
          holders.set(id, { owner, lease });
          lease.tell({ message: `Step ${step}` }, step);
        }
        await lease.change({ status: "succeeded" }, { message: "done" });
      },
    });
    worker.start();
  };

  const client = new JobQueue({ table, maxWaiting: numJobs, now: () => 0, newId: () => `${numIds++}` });
  for (let i = 0; i < numJobs; i++) {
    await client.submit({
      job: newJob(`ftjob-${i}`),
      base: `base-${i % numBases}`,
      baseName: "tiny",
      initAdapter: null,
    });
  }
  for (let i = 0; i < numWorkers; i++) {
    setTimeoutOf(time, 60_000 * random.uniform(), () => startWorker(`base-${i % numBases}`));
  }
  let looksAtMs = 0;
  await time.run(() => {
    if (time.nowMs < looksAtMs) return numLeft === 0;
    looksAtMs = time.nowMs + 30_000;
    void table.list().then((rows) => {
      numLeft = rows.filter(({ job }) => !["succeeded", "failed"].includes(job.status)).length;
    });
    return numLeft === 0;
  });
  const statuses = new Map<string, number>();
  const numEnds = new Set<number>();
  for (const { job } of await table.list()) {
    statuses.set(job.status, (statuses.get(job.status) ?? 0) + 1);
    const told = await toldBy(table, job.id);
    if (job.status === "succeeded") numEnds.add(told.filter(({ message }) => message === "done").length);
  }
  return { conflicts, numEnds, statuses, numCrashes, numTakenOver, hours: time.nowMs / 3.6e6 };
}

function setTimeoutOf(time: VirtualTime, timeMs: number, work: () => void): void {
  time.at(time.nowMs + timeMs, work);
}
