/**
 * @file Decides who works on which job: workers take a job with a lease, keep it, and may lose it (holds.ts); clients change it.
 *
 * Every lease has a number, larger than all earlier ones of that job. A change by an owner counts only with the newest number,
 * which is checked in the same transaction: so a job ends once, whatever owners that were believed lost still do.
 */
import { mayBeOneBase } from "../../models/base/fingerprint.ts";
import { FIRST_RUN } from "../state-folder.ts";
import { type Job, type JobEvent, hasEnded } from "../job.ts";
import { type DecideOnRow, type JobRow, type JobTable, type RowDecision, TO_DO } from "../job-table.ts";
import {
  type Standing,
  MAX_LOST,
  type OwnChange,
  changed,
  endsPiece,
  givenBack,
  isActive,
  kept,
  taken,
} from "./holds.ts";
import { NEW_HOLD, freePiece, heldPieces, pieceOf, withPiece } from "./shares.ts";

interface JobQueueOptions {
  readonly table: JobTable;
  /** Most jobs that may wait when a new one is added. */
  readonly maxWaiting: number;
  /** The current time in seconds. */
  readonly now: () => number;
  readonly newId: () => string;
}

/** An event of a job, before it has an id and a time. */
export interface Telling {
  readonly level?: JobEvent["level"];
  readonly message: string;
  readonly data?: Record<string, unknown> | null;
}

export interface TakenJob {
  readonly row: JobRow;
  /** The previous owner did not give the job back, and may still write. */
  readonly isFromLost: boolean;
}

export class JobQueue {
  readonly table: JobTable;
  readonly #options: JobQueueOptions;
  /** Called at once for changes in this process. */
  readonly #listeners = new Set<(id: string, what: "waits" | "stopped") => void>();

  constructor(options: JobQueueOptions) {
    this.table = options.table;
    this.#options = options;
  }

  /** Calls `listener` when a job changed by this process waits, or must stop. */
  listen(listener: (id: string, what: "waits" | "stopped") => void): void {
    this.#listeners.add(listener);
  }

  /** Adds a new job to the queue; false: too many wait. */
  async submit(
    given: Pick<JobRow, "job" | "base" | "baseName" | "initAdapter"> & Partial<Pick<JobRow, "maxSteps">>,
  ): Promise<boolean> {
    const row: JobRow = {
      ...NEW_HOLD,
      ...given,
      folder: FIRST_RUN,
      round: 0,
      shares: [],
      removals: 0,
      share: null,
    };
    const { id } = given.job;
    const events = [this.eventOf({ message: `Created fine-tuning job: ${id}` })];
    if (!(await this.table.insert(row, events, this.#options.maxWaiting))) return false;
    this.#tell(id, "waits");
    return true;
  }

  /** Ends a job; what it has trained stays in its folder. null: it had already ended. */
  cancel(id: string): Promise<Job | null> {
    const end = { status: "cancelled", finished_at: this.#options.now() } as const;
    return this.#stop(id, end, (job) => !hasEnded(job));
  }

  /** Stops a job until it is resumed. null: it is paused, or has ended. */
  pause(id: string): Promise<Job | null> {
    return this.#stop(id, { status: "paused" }, (job) => !hasEnded(job) && job.status !== "paused");
  }

  /** Lets a paused job continue. null: it is not paused; another request may have been faster. */
  async resume(id: string): Promise<Job | null> {
    const isPaused = ({ status }: Job): boolean => status === "paused";
    const queued = await this.#change(id, { status: "queued" }, "The job continues", isPaused);
    if (queued) this.#tell(id, "waits");
    return queued;
  }

  /** Records for other servers that a result of a job was removed. */
  async noteRemoval(id: string): Promise<void> {
    await this.table.withJob(id, (row) => ({ row: { ...row, removals: row.removals + 1 }, result: null }));
  }

  async #stop(id: string, change: Partial<Job>, isMeant: (job: Job) => boolean): Promise<Job | null> {
    const changed = await this.#change(id, change, `The job is ${change.status}`, isMeant);
    if (changed) this.#tell(id, "stopped");
    return changed;
  }

  #change(
    id: string,
    change: Partial<Job>,
    message: string,
    isMeant: (job: Job) => boolean,
  ): Promise<Job | null> {
    return this.table.withJob<Job | null>(id, (row) => {
      if (!isMeant(row.job)) return { result: null };
      const job = { ...row.job, ...change };
      return { row: { ...row, job }, events: [this.eventOf({ message })], result: job };
    });
  }

  /** Takes the oldest free job of a base, or a share of one, for `leaseMs`. */
  async take(base: string, owner: string, leaseMs: number): Promise<TakenJob | null> {
    for (;;) {
      const found = await this.table.withNext<TakenJob | "at fault" | null>(base, (whole, nowMs) => {
        const row = freePiece(whole, nowMs);
        if (row === null) return { result: null };
        const next = taken(row, owner, nowMs + leaseMs);
        if (next === null) return this.#giveUp(whole, row);
        const isFromLost = row.leaseUntilMs !== null;
        const what = row.share === null ? "Its worker" : `The worker of share ${row.share + 1}`;
        const events = [
          ...(isFromLost ? [{ message: `${what} was lost; the job continues`, level: "warn" } as const] : []),
          ...(row.shares.length === 0 ? [{ message: "Validating the files" }] : []),
        ].map((event) => this.eventOf(event));
        return { row: withPiece(whole, next), events, result: { row: next, isFromLost } };
      });
      if (found !== "at fault") return found;
    }
  }

  #giveUp(whole: JobRow, row: JobRow): RowDecision<"at fault"> {
    const remedy = "Check their last output; if memory was short, choose a lower maxLength or batchSize.";
    const message = `${MAX_LOST + 1} workers in a row were lost at this job. ${remedy}`;
    const error = { code: "worker_lost", message, param: null };
    const job: Job = { ...row.job, status: "failed", finished_at: this.#options.now(), error };
    return {
      row: withPiece(whole, { ...row, job, owner: null, leaseUntilMs: null }),
      events: [this.eventOf({ level: "error", message: `The job has failed: ${message}` })],
      result: "at fault",
    };
  }

  /** Waiting jobs whose base has this name but is another model than `base`. */
  async misfits(base: string, baseName: string): Promise<JobRow[]> {
    const toDo = await this.table.list({ statuses: TO_DO, baseName });
    return toDo.filter((row) => row.owner === null && !mayBeOneBase(base, row.base));
  }

  /** Decides about a job, or the share of it, that an owner holds. */
  #withOwn<T>({ job: { id }, share }: JobRow, decide: DecideOnRow<T>): Promise<T | null> {
    return this.table.withJob<T>(id, (whole, nowMs) => {
      const { row, ...rest } = decide(pieceOf(whole, share), nowMs);
      return row ? { ...rest, row: withPiece(whole, row) } : rest;
    });
  }

  /** Extends the lease of a job to `leaseMs` from now, and adds its events. `numSteps`: its progress. */
  async keep(own: JobRow, leaseMs: number, numSteps: number, events: readonly JobEvent[]): Promise<Standing> {
    const held = await this.#withOwn<Standing>(own, (row, nowMs) => {
      const next = kept(row, own, nowMs + leaseMs, numSteps);
      return next === null
        ? { result: "lost" }
        : { row: next, events, result: isActive(row) ? "held" : "stopped" };
    });
    return held ?? "lost";
  }

  /**
   * Changes a job for its owner. null: the owner has lost it, or it was stopped. Repeating the same change has no further effect.
   */
  async changeOwn(
    own: JobRow,
    change: Partial<Job>,
    telling: readonly JobEvent[],
    ofOwn: OwnChange = {},
  ): Promise<JobRow | null> {
    const next = await this.#withOwn<JobRow | null>(own, (row) => {
      const result = changed(row, own, change, ofOwn);
      return result === null || result === row ? { result } : { row: result, events: telling, result };
    });
    if (next && endsPiece(ofOwn)) this.#tell(own.job.id, "waits");
    return next;
  }

  /** Releases a job that its owner will no longer write to; it waits again unless it was stopped. `numSteps`: as for `keep`. */
  async giveBack(own: JobRow, events: readonly JobEvent[] = [], numSteps = 0): Promise<void> {
    const isToDo = await this.#withOwn<boolean>(own, (row) => {
      const next = givenBack(row, own, numSteps);
      if (next === null) return { result: false };
      return { row: next, events, result: isActive(row) || next.job.status === "queued" };
    });
    if (isToDo) this.#tell(own.job.id, "waits");
  }

  /** Releases all jobs of owners that must have ended, since only one process at a time uses the table. */
  async takeBackAll(): Promise<void> {
    const held = (await this.table.list()).map(heldPieces);
    for (const [first, ...others] of held) {
      if (!first) continue;
      const message = "The server was restarted; the job continues";
      await this.giveBack(first, [this.eventOf({ message })]);
      for (const other of others) await this.giveBack(other);
    }
  }

  /** Makes an event of a job. */
  eventOf({ level = "info", message, data = null }: Telling): JobEvent {
    return {
      id: `ftevent-${this.#options.newId()}`,
      object: "fine_tuning.job.event",
      created_at: this.#options.now(),
      level,
      message,
      type: data && "step" in data ? "metrics" : "message",
      data,
    };
  }

  #tell(id: string, what: "waits" | "stopped"): void {
    for (const listener of this.#listeners) listener(id, what);
  }
}
