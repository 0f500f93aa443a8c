/**
 * @file Works on the jobs of one base, one or several at a time, until it is closed. The work itself is a parameter; the queue
 * decides who may do it.
 */
import type { Clock } from "./clock.ts";
import type { JobQueue, TakenJob } from "./job-queue.ts";
import { Lease } from "./lease.ts";
import { Trouble, type TroubleOptions } from "./trouble.ts";

interface JobWorkerOptions extends TroubleOptions {
  readonly queue: JobQueue;
  /** Fingerprint of the worker's model. */
  readonly base: string;
  /** Most jobs at a time. */
  readonly maxRunning?: number;
  /** The worker's name, for people. */
  readonly owner: string;
  readonly clock: Clock;
  /** How long a worker that does not report keeps its job. */
  readonly leaseMs: number;
  /** How long to wait between two looks for a job. */
  readonly pollMs: number;
  /** Throws while this worker could do no job; jobs are then left to others. */
  readonly isReady?: () => Promise<void>;
  /** Works on a job until it ends or the lease says to stop. The work reports its own errors. */
  readonly work: (taken: TakenJob, lease: Lease) => Promise<void>;
  /** Called when there is nothing to do. */
  readonly onIdle?: () => Promise<void>;
}

export class JobWorker {
  readonly #options: JobWorkerOptions;
  readonly #closed = new AbortController();
  /** Wake the loops that wait for a job. */
  readonly #wakes = new Set<AbortController>();
  readonly #leases = new Set<Lease>();
  readonly #trouble: Trouble;
  #loops: Promise<void[]> | null = null;

  constructor(options: JobWorkerOptions) {
    this.#options = options;
    this.#trouble = new Trouble(options);
    options.queue.listen((id, what) => {
      if (what === "waits") this.#wake();
      for (const lease of this.#leases) if (what !== "waits" && lease.row.job.id === id) lease.stop();
    });
  }

  start(): void {
    const { maxRunning = 1 } = this.#options;
    this.#loops ??= Promise.all(Array.from({ length: maxRunning }, () => this.#run()));
  }

  #wake(): void {
    for (const wake of this.#wakes) wake.abort();
  }

  /** Stops running jobs after their current step; they wait for the next worker. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#wake();
    for (const lease of this.#leases) lease.stop();
    await this.#loops;
  }

  async #run(): Promise<void> {
    const { queue, base, owner, clock, leaseMs, pollMs, isReady, onIdle } = this.#options;
    while (!this.#closed.signal.aborted) {
      const wake = new AbortController();
      this.#wakes.add(wake);
      const askedMs = clock.nowMs();
      try {
        await isReady?.();
        const taken = await queue.take(base, owner, leaseMs);
        this.#trouble.end();
        if (taken) {
          this.#wakes.delete(wake);
          await this.#work(taken, askedMs);
          continue;
        }
        await onIdle?.();
      } catch (error) {
        this.#trouble.tell(error);
      }
      if (!this.#closed.signal.aborted) await clock.sleep(pollMs, wake.signal);
      this.#wakes.delete(wake);
    }
  }

  async #work(taken: TakenJob, takenMs: number): Promise<void> {
    const { queue, clock, leaseMs, work } = this.#options;
    const lease = new Lease({ row: taken.row, takenMs, leaseMs, queue, clock, trouble: this.#trouble });
    this.#leases.add(lease);
    if (this.#closed.signal.aborted) lease.stop();
    try {
      await work(taken, lease);
    } finally {
      this.#leases.delete(lease);
      await lease.end();
    }
  }
}
