/**
 * @file A worker's hold on a job: extended by regular messages to the table, until the job has ended or is lost.
 *
 * The worker measures its time from before it asked, and stops early. So whatever its clock says, and however long an answer
 * takes, it lets go before the table gives the job to another. If the table cannot be reached, it is asked again until then,
 * while the work goes on.
 */
import { FailedError } from "../../errors.ts";
import type { Clock } from "./clock.ts";
import type { Job, JobEvent } from "../job.ts";
import type { OwnChange } from "./holds.ts";
import type { JobQueue, Telling } from "./job-queue.ts";
import type { JobRow } from "../job-table.ts";
import type { Trouble } from "./trouble.ts";

/** Share of a lease that a worker uses; the rest allows for a clock slower than the table's. */
const SAFE = 0.9;
const NUM_BEATS = 5;
/** Least time between two messages to the table when all goes well. */
const TELL_MS = 500;

/** A job as a worker takes it. */
interface LeaseTerms {
  readonly row: JobRow;
  /** Time on the worker's clock before it asked for the job. */
  readonly takenMs: number;
  readonly leaseMs: number;
  readonly queue: JobQueue;
  readonly clock: Clock;
  /** Reports a table that cannot be reached. */
  readonly trouble: Trouble;
}

export class Lease {
  /** The job as it was taken; `change` updates it. */
  row: JobRow;
  readonly #queue: JobQueue;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #trouble: Trouble;
  readonly #stop = new AbortController();
  #deadlineMs: number;
  #isLost = false;
  #numSteps = 0;
  /** Events that the table has not received yet. */
  #events: JobEvent[] = [];
  #wake = new AbortController();
  readonly #over = new AbortController();
  readonly #beats: Promise<void>;
  /** The last of the changes and messages, which run one after another. */
  #last: Promise<unknown> = Promise.resolve();

  constructor({ row, takenMs, leaseMs, queue, clock, trouble }: LeaseTerms) {
    this.row = row;
    this.#trouble = trouble;
    this.#queue = queue;
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#deadlineMs = takenMs + SAFE * leaseMs;
    this.#beats = this.#keep();
  }

  /** Aborts when the work must end: the job is lost, or was stopped. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Whether this worker may write to the job. */
  isHeld(): boolean {
    return !this.#isLost && this.#clock.nowMs() < this.#deadlineMs;
  }

  /** The time on the worker's clock. */
  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** Waits while the job is held, or until the work must end. */
  async wait(timeMs: number): Promise<void> {
    await this.#clock.sleep(timeMs, this.signal);
  }

  /** Tells the work to end; the job is given back. */
  stop(): void {
    this.#stop.abort();
  }

  /** Sends an event to the table soon. */
  tell(telling: Telling, numSteps = this.#numSteps): void {
    this.#events.push(this.#queue.eventOf(telling));
    this.#numSteps = numSteps;
    this.#wake.abort();
  }

  /** The events of some steps of the job, by any owner; none when the lease ends first. @throws as `change` */
  async toldOf(steps: readonly number[]): Promise<JobEvent[]> {
    return (await this.#persist(() => this.#queue.table.listEventsOf(this.row.job.id, steps))) ?? [];
  }

  /** Changes the job, after all earlier events. null: the job is lost, or was stopped. @throws errors that a retry cannot mend */
  async change(change: Partial<Job>, telling?: Telling, more: OwnChange = {}): Promise<JobRow | null> {
    // Taken from the events of regular messages: the change's own event must not be sent without the change.
    const before = this.#events.splice(0);
    const events = telling ? [...before, this.#queue.eventOf(telling)] : before;
    let changed: JobRow | null = null;
    try {
      changed = await this.#inOrder(() =>
        this.#persist(() => this.#queue.changeOwn(this.row, change, events, more)),
      );
    } finally {
      if (!changed) this.#events.unshift(...before);
    }
    if (changed) this.row = changed;
    else this.stop();
    return changed;
  }

  /**
   * Releases the job after its work has ended. It tries even when the lease is over, since the table knows whether another worker
   * has the job.
   */
  async end(): Promise<void> {
    this.#over.abort();
    this.#wake.abort();
    await this.#beats;
    if (this.row.leaseUntilMs === null) return;
    const giveBack = (): Promise<true> =>
      this.#queue.giveBack(this.row, this.#events, this.#numSteps).then(() => true);
    await this.#inOrder(async () => (await this.#persist(giveBack)) ?? (await giveBack())).catch(
      (error: unknown) => this.#trouble.tell(error),
    );
  }

  /** Retries until the table answers; null when the lease ends first. @throws errors that a retry cannot mend */
  async #persist<T>(work: () => Promise<T>): Promise<T | null> {
    for (let waitMs = this.#leaseMs / 100; ; waitMs *= 2) {
      if (!this.isHeld()) return null;
      try {
        return await work();
      } catch (error) {
        this.#trouble.tell(error);
        if (!(error instanceof FailedError)) throw error;
        await this.#clock.sleep(Math.min(waitMs, this.#leaseMs / NUM_BEATS));
      }
    }
  }

  async #keep(): Promise<void> {
    const over = this.#over.signal;
    for (let waitMs = this.#leaseMs / NUM_BEATS; !over.aborted;) {
      await this.#clock.sleep(Math.min(TELL_MS, waitMs), over);
      if (this.#events.length === 0 && !over.aborted) {
        this.#wake = new AbortController();
        await this.#clock.sleep(Math.max(0, waitMs - TELL_MS), this.#wake.signal);
      }
      if (over.aborted) return;
      // A worker that let the lease lapse has stopped its work, and does not resume it.
      const isHeard = this.isHeld() && (await this.#inOrder(() => this.#beat()));
      if (!this.isHeld()) this.#isLost = true;
      if (this.#isLost) this.stop();
      if (this.#isLost) return;
      waitMs = isHeard ? this.#leaseMs / NUM_BEATS : Math.max(TELL_MS, this.#leaseMs / 20);
    }
  }

  /** Sends a message; returns whether the table has received it. */
  async #beat(): Promise<boolean> {
    const events = new Set(this.#events);
    const askedMs = this.#clock.nowMs();
    try {
      const held = await this.#queue.keep(this.row, this.#leaseMs, this.#numSteps, [...events]);
      if (held === "lost") this.#isLost = true;
      else this.#deadlineMs = askedMs + SAFE * this.#leaseMs;
      if (held === "stopped") this.stop();
      // Meanwhile, a change may have taken some of these events, and new ones may have come.
      this.#events = this.#events.filter((event) => !events.has(event));
      this.#trouble.end();
      return true;
    } catch (error) {
      this.#trouble.tell(error);
      return false;
    }
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}
