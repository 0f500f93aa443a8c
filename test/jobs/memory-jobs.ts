/** @file A table of jobs that lives as long as the process: for simulations, and where a database would be too slow to open. */
import { mayBeOneBase } from "../../src/models/base/fingerprint.ts";
import { type JobEvent, hasEnded } from "../../src/jobs/job.ts";
import type { DecideOnRow, EventPart, JobPart, JobRow, JobTable } from "../../src/jobs/job-table.ts";
import { freePiece } from "../../src/jobs/queue/shares.ts";

export class MemoryJobs implements JobTable {
  readonly #rows = new Map<string, JobRow>();
  readonly #events = new Map<string, Map<string, JobEvent>>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  async insert(row: JobRow, events: readonly JobEvent[], maxWaiting: number): Promise<boolean> {
    if (this.#rows.has(row.job.id)) return true;
    const numWaiting = [...this.#rows.values()].filter(({ job }) => job.status === "queued").length;
    if (numWaiting >= maxWaiting) return false;
    this.#rows.set(row.job.id, row);
    this.#addEvents(row.job.id, events);
    return true;
  }

  async withJob<T>(id: string, decide: DecideOnRow<T>): Promise<T | null> {
    const row = this.#rows.get(id);
    return row ? this.#decide(row, decide) : null;
  }

  async withNext<T>(base: string, decide: DecideOnRow<T>): Promise<T | null> {
    for (const row of this.#rows.values()) {
      if (mayBeOneBase(base, row.base) && freePiece(row, this.#nowMs()) !== null)
        return this.#decide(row, decide);
    }
    return null;
  }

  #decide<T>(before: JobRow, decide: DecideOnRow<T>): T {
    const { row, events = [], result } = decide(before, this.#nowMs());
    if (row) this.#rows.set(row.job.id, row);
    this.#addEvents(before.job.id, events);
    return result;
  }

  #addEvents(id: string, events: readonly JobEvent[]): void {
    const told = this.#events.get(id) ?? new Map<string, JobEvent>();
    this.#events.set(id, told);
    for (const event of events) if (!told.has(event.id)) told.set(event.id, event);
  }

  async read(id: string): Promise<JobRow | null> {
    return this.#rows.get(id) ?? null;
  }

  async list({ statuses, baseName, idStart = "" }: JobPart = {}): Promise<JobRow[]> {
    return [...this.#rows.values()].filter(
      (row) =>
        (statuses?.includes(row.job.status) ?? true) &&
        (baseName === undefined || row.baseName === baseName) &&
        row.job.id.startsWith(idStart),
    );
  }

  async listEnded(): Promise<ReadonlyMap<string, number>> {
    const ended = (await this.list()).filter(({ job }) => hasEnded(job));
    return new Map(ended.map(({ job, removals }) => [job.id, removals]));
  }

  async listEvents(id: string, { after, limit }: EventPart = {}): Promise<JobEvent[] | null> {
    const events = this.#eventsOf(id).toReversed();
    const place = after === undefined ? 0 : events.findIndex((event) => event.id === after) + 1;
    if (after !== undefined && place === 0) return null;
    return events.slice(place, limit === undefined ? undefined : place + limit);
  }

  async listEventsOf(id: string, steps: readonly number[]): Promise<JobEvent[]> {
    return this.#eventsOf(id).filter(({ data }) => steps.includes(Number(data?.["step"])));
  }

  #eventsOf(id: string): JobEvent[] {
    return [...(this.#events.get(id)?.values() ?? [])];
  }

  async close(): Promise<void> {
    // What it holds goes on, as that of a database does.
  }
}
