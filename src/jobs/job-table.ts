/**
 * @file Contract of the table in which jobs wait and are worked on. It only keeps rows and locks them one at a time; what a
 * lock is used for is decided in job-queue.ts, once for every kind of table.
 */
import type { Job, JobEvent } from "./job.ts";

/** Who has a piece of work. */
export interface Hold {
  /** Counts how often it was taken: a worker with an older number has lost it. */
  readonly token: number;
  readonly owner: string | null;
  /** Until when it is its owner's, in the table's milliseconds; null: it is nobody's. */
  readonly leaseUntilMs: number | null;
  /** The most steps that any owner has told of. */
  readonly maxSteps: number;
  /** Owners in a row that were lost before they came further. */
  readonly numLost: number;
}

/** What a share of a round came to. */
export interface ShareResult {
  /** What it counts in the mean. */
  readonly examples: number;
  /** Tokens of all its rounds. */
  readonly tokens: number;
  /** Loss of the last step. */
  readonly loss: number;
}

/** One of the trainings that make a round of an averaged one. */
export interface Share extends Hold {
  /** The folder that it is trained in, beside that of the job. */
  readonly folder: string;
  /** Null: its part of the round is still to be done. */
  readonly done: ShareResult | null;
}

/** A job, who has it, and where it is trained. What a worker has may be a share of it: the hold is that of the share then. */
export interface JobRow extends Hold {
  readonly job: Job;
  /** Fingerprint of the model that it is trained on: a worker has one. */
  readonly base: string;
  /** What that model is called, for people. */
  readonly baseName: string;
  /** Folder of the adapter that it goes on from. */
  readonly initAdapter: string | null;
  /** The folder that it is trained in, beside those of other jobs. */
  readonly folder: string;
  /**
   * State of averaged training: how many rounds have ended, and the shares of the next one. Without shares no round has
   * begun.
   */
  readonly round: number;
  readonly shares: readonly Share[];
  /** How often something of what it has trained was removed. */
  readonly removals: number;
  /** The share that is held; null: the job itself is held, as always in the table. */
  readonly share: number | null;
}

/** What is done about a row that is locked. */
export interface RowDecision<T> {
  /** Takes the row's place; unless given it stays as it is. */
  readonly row?: JobRow;
  /** Added to what the job has told; those that it has told already, by their ids, are not. */
  readonly events?: readonly JobEvent[];
  readonly result: T;
}

/** Decides about a row that nobody else can change meanwhile. `nowMs`: the table's clock, one for all workers. */
export type DecideOnRow<T> = (row: JobRow, nowMs: number) => RowDecision<T>;

/** Selects some of a job's events. */
export interface EventPart {
  /** Only events older than the one with this id; by default from the newest on. */
  readonly after?: string | undefined;
  /** At most so many events; by default all. */
  readonly limit?: number;
}

export interface JobTable {
  /** Adds a job; true also where it is there already. False: as many wait as may. */
  insert(row: JobRow, events: readonly JobEvent[], maxWaiting: number): Promise<boolean>;
  /** Locks a job, and does all of the decision or nothing. Null: there is none. */
  withJob<T>(id: string, decide: DecideOnRow<T>): Promise<T | null>;
  /** The same for the oldest of which a piece is free (queue/shares) and that nobody has locked just now. Null: there is none. */
  withNext<T>(base: string, decide: DecideOnRow<T>): Promise<T | null>;
  read(id: string): Promise<JobRow | null>;
  /** All, the oldest first. */
  list(): Promise<JobRow[]>;
  /** Ids of those that have ended, with their removals. */
  listEnded(): Promise<ReadonlyMap<string, number>>;
  /** What a job has told, the newest first; null: `after` is none of it. */
  listEvents(id: string, part?: EventPart): Promise<JobEvent[] | null>;
  /** What a job has told of steps, the oldest first. */
  listEventsOf(id: string, steps: readonly number[]): Promise<JobEvent[]>;
  close(): Promise<void>;
}

/** Statuses of jobs that somebody should be working on. */
export const TO_DO = ["queued", "validating_files", "running"] as const satisfies readonly Job["status"][];
