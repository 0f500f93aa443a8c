/**
 * @file Many workers on a virtual clock: the queue, leases and workers are those of the program, only their work is made up.
 *
 * Workers crash and come back, stand still, have clocks of other rates, and lose their messages on the way there or back.
 */
import { FailedError } from "../../src/errors.ts";
import { JobQueue, type TakenJob } from "../../src/jobs/queue/job-queue.ts";
import type { JobTable } from "../../src/jobs/job-table.ts";
import { JobWorker } from "../../src/jobs/queue/job-worker.ts";
import type { Lease } from "../../src/jobs/queue/lease.ts";
import type { Random } from "../../src/random.ts";
import { MemoryJobs } from "./memory-jobs.ts";
import { newJob } from "./new-job.ts";
import { VirtualTime } from "./virtual-clock.ts";
import { toldBy } from "./told.ts";

interface SimulationOptions {
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
interface Simulated {
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

/** Lets workers do all jobs, and tells what happened. */
export async function simulate(options: SimulationOptions): Promise<Simulated> {
  const simulation = new Simulation(options);
  await simulation.submitAll();
  return await simulation.run();
}

/** What a worker is to the simulation. */
interface Worker {
  readonly owner: string;
  readonly base: string;
  isUp: boolean;
  stillUntilMs: number;
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #time = new VirtualTime();
  readonly #table = new MemoryJobs(() => this.#time.nowMs);
  readonly #conflicts: string[] = [];
  /** Who last wrote for a job. */
  readonly #holders = new Map<string, { readonly owner: string; readonly lease: Lease }>();
  #numIds = 0;
  #numCrashes = 0;
  #numTakenOver = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
  }

  readonly #newId = (): string => `${this.#numIds++}`;

  #queueOn(table: JobTable): JobQueue {
    return new JobQueue({ table, maxWaiting: this.#options.numJobs, now: () => 0, newId: this.#newId });
  }

  async submitAll(): Promise<void> {
    const { numJobs, numBases } = this.#options;
    const client = this.#queueOn(this.#table);
    for (let i = 0; i < numJobs; i++) {
      const base = `base-${i % numBases}`;
      await client.submit({ job: newJob(`ftjob-${i}`), base, baseName: "tiny", initAdapter: null });
    }
  }

  async run(): Promise<Simulated> {
    const { numWorkers, numBases, numJobs } = this.#options;
    for (let i = 0; i < numWorkers; i++) this.#startSoon(`base-${i % numBases}`);
    let [looksAtMs, numLeft] = [0, numJobs];
    await this.#time.run(() => {
      if (this.#time.nowMs < looksAtMs) return numLeft === 0;
      looksAtMs = this.#time.nowMs + 30_000;
      void this.#table.list().then((rows) => {
        numLeft = rows.filter(({ job }) => !["succeeded", "failed"].includes(job.status)).length;
      });
      return numLeft === 0;
    });
    return await this.#outcome();
  }

  async #outcome(): Promise<Simulated> {
    const statuses = new Map<string, number>();
    const numEnds = new Set<number>();
    for (const { job } of await this.#table.list()) {
      statuses.set(job.status, (statuses.get(job.status) ?? 0) + 1);
      const told = await toldBy(this.#table, job.id);
      if (job.status === "succeeded") numEnds.add(told.filter(({ message }) => message === "done").length);
    }
    return {
      conflicts: this.#conflicts,
      numEnds,
      statuses,
      numCrashes: this.#numCrashes,
      numTakenOver: this.#numTakenOver,
      hours: this.#time.nowMs / 3.6e6,
    };
  }

  #startSoon(base: string): void {
    const atMs = this.#time.nowMs + 60_000 * this.#options.random.uniform();
    this.#time.at(atMs, () => this.#start(base));
  }

  #start(base: string): void {
    const { random, skew } = this.#options;
    const worker: Worker = { owner: `worker-${this.#newId()}`, base, isUp: true, stillUntilMs: 0 };
    const { owner } = worker;
    const clock = this.#time.clock(1e9 * random.uniform(), 1 + skew * (2 * random.uniform() - 1));
    new JobWorker({
      queue: this.#queueOn(this.#reach(worker)),
      base,
      owner,
      clock,
      leaseMs: LEASE_MS,
      pollMs: 60_000,
      onTrouble: () => {},
      work: (taken, lease) => this.#work(worker, taken, lease),
    }).start();
  }

  /** The table as one worker reaches it, who hears of nothing while it stands still, or ever again when it has crashed. */
  #reach(worker: Worker): JobTable {
    const { random, loss } = this.#options;
    return new Proxy<JobTable>(this.#table, {
      get: (target, key: keyof JobTable) => {
        const value: unknown = target[key];
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          const fate = random.uniform();
          const stillMs = worker.stillUntilMs - this.#time.nowMs;
          await this.#time.wait(Math.max(stillMs, 5 + 200 * random.uniform()));
          if (!worker.isUp) return await new Promise(() => {});
          const lost = new FailedError("failed/database", "Cannot reach the database: lost");
          if (fate < loss) throw lost;
          const result: unknown = await (value as (...args: unknown[]) => unknown).apply(target, args);
          await this.#time.wait(5 + 50 * random.uniform());
          if (!worker.isUp) return await new Promise(() => {});
          if (fate > 1 - loss) throw lost;
          return result;
        };
      },
    });
  }

  async #work(worker: Worker, taken: TakenJob, lease: Lease): Promise<void> {
    const { random, stall, crash } = this.#options;
    const { owner } = worker;
    const { id } = taken.row.job;
    if (taken.isFromLost) this.#numTakenOver++;
    await lease.change({ status: "running" });
    for (let step = taken.row.maxSteps + 1; step <= NUM_STEPS; step++) {
      await this.#time.wait(STEP_MS * (0.5 + random.uniform()));
      if (random.uniform() < stall) {
        worker.stillUntilMs = this.#time.nowMs + 3 * LEASE_MS * random.uniform();
        await this.#time.wait(worker.stillUntilMs - this.#time.nowMs);
      }
      if (random.uniform() < crash) {
        worker.isUp = false;
        this.#numCrashes++;
        this.#startSoon(worker.base);
        return await new Promise<void>(() => {});
      }
      if (lease.signal.aborted || !lease.isHeld()) return;
      const other = this.#holders.get(id);
      if (other && other.owner !== owner && other.lease.isHeld())
        this.#conflicts.push(`${id} at step ${step}`);
      this.#holders.set(id, { owner, lease });
      lease.tell({ message: `Step ${step}` }, step);
    }
    await lease.change({ status: "succeeded" }, { message: "done" });
  }
}
