/**
 * @file A job in the hands of its worker: kept by telling the table now and then, until it has ended or is lost.
 *
 * The worker counts its time from before it asked, and stops early: whatever its clock says, and however long an answer takes,
 * it lets go before the table gives the job to another. A table that cannot be reached is asked again until then, while the
 * work goes on.
 */
import { FailedError } from "../../errors.ts";
import type { Clock } from "./clock.ts";
import type { Job, JobEvent } from "../job.ts";
import type { OwnChange } from "./holds.ts";
import type { JobQueue, Telling } from "./job-queue.ts";
import type { JobRow } from "../job-table.ts";
import type { Trouble } from "./trouble.ts";

/** Share of a lease that a worker uses, so that its clock may run slower than the table's by the rest. */
const SAFE = 0.9;
const NUM_BEATS = 5;
/** How long to wait between two messages to the table when all goes well. */
const TELL_MS = 500;

/** A job as a worker takes it. */
interface LeaseTerms {
  readonly row: JobRow;
  /** On the worker's clock, before it asked for the job. */
  readonly takenMs: number;
  readonly leaseMs: number;
  readonly queue: JobQueue;
  readonly clock: Clock;
  /** Is told of a table that cannot be reached. */
  readonly trouble: Trouble;
}

export class Lease {
  /** The job as it was taken; changed by `change`. */
  row: JobRow;
  readonly #queue: JobQueue;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #trouble: Trouble;
  readonly #stop = new AbortController();
  #deadlineMs: number;
  #isLost = false;
  #numSteps = 0;
  /** Not heard by the table yet. */
  #events: JobEvent[] = [];
  #wake = new AbortController();
  readonly #over = new AbortController();
  readonly #beats: Promise<void>;
  /** Changes and beats, one after another. */
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

  /** Aborts when the work is to end: the job is lost, or was stopped. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Whether the job is this worker's to write. */
  isHeld(): boolean {
    return !this.#isLost && this.#clock.nowMs() < this.#deadlineMs;
  }

  /** The worker's time. */
  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** Waits so long, while the job is kept; less if the work is to end. */
  async wait(timeMs: number): Promise<void> {
    await this.#clock.sleep(timeMs, this.signal);
  }

  /** Ends the work; the job is given back. */
  stop(): void {
    this.#stop.abort();
  }

  /** Has the table hear something, soon. */
  tell(telling: Telling, numSteps = this.#numSteps): void {
    this.#events.push(this.#queue.eventOf(telling));
    this.#numSteps = numSteps;
    this.#wake.abort();
  }

  /** What has been told of some steps of the job, by whoever had it; nothing when the lease is over first. @throws as `change` */
  async toldOf(steps: readonly number[]): Promise<JobEvent[]> {
    return (await this.#persist(() => this.#queue.table.listEventsOf(this.row.job.id, steps))) ?? [];
  }

  /** Changes the job, after all that was told. Null: it is lost, or was stopped. @throws what asking again does not mend */
  async change(change: Partial<Job>, telling?: Telling, more: OwnChange = {}): Promise<JobRow | null> {
    // Out of what beats tell: the change's own is not to be heard without it.
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

  /** Lets go of the job, on which no work is done any more: late, too, as the table knows whether another has it by then. */
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

  /** Tries until a table that is away hears it; null when the lease is over first. @throws what another try does not mend */
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
      // A worker that let it lapse has stopped working on it, and does not take it up again.
      const isHeard = this.isHeld() && (await this.#inOrder(() => this.#beat()));
      if (!this.isHeld()) this.#isLost = true;
      if (this.#isLost) this.stop();
      if (this.#isLost) return;
      waitMs = isHeard ? this.#leaseMs / NUM_BEATS : Math.max(TELL_MS, this.#leaseMs / 20);
    }
  }

  /** Whether the table has heard. */
  async #beat(): Promise<boolean> {
    const events = new Set(this.#events);
    const askedMs = this.#clock.nowMs();
    try {
      const held = await this.#queue.keep(this.row, this.#leaseMs, this.#numSteps, [...events]);
      if (held === "lost") this.#isLost = true;
      else this.#deadlineMs = askedMs + SAFE * this.#leaseMs;
      if (held === "stopped") this.stop();
      // Of these a change may have taken some along meanwhile, and others may have come.
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
