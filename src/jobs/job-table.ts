/**
 * @file Contract of the table in which jobs wait and are worked on. It only keeps rows and locks them one at a time; what a
 * lock is used for is decided in job-queue.ts, once for every kind of table.
 */
import { z } from "zod";
import { JOB, type JobEvent, type JobStatus } from "./job.ts";

/** Who has a piece of work. */
const HOLD = z.object({
  /** Counts how often it was taken: a worker with an older number has lost it. */
  token: z.int(),
  owner: z.string().nullable(),
  /** Until when it is its owner's, in the table's milliseconds; null: it is nobody's. */
  leaseUntilMs: z.number().nullable(),
  /** The most steps that any owner has told of, or that were made before the job and are not its to tell. */
  maxSteps: z.int(),
  /** Owners in a row that were lost before they came further. */
  numLost: z.int(),
});
export type Hold = Readonly<z.output<typeof HOLD>>;

/** What a share of a round came to. */
const SHARE_RESULT = z.object({
  /** What it counts in the mean. */
  examples: z.int(),
  /** Passes over its data that its whole training makes. */
  epochs: z.number().positive(),
  /** Tokens of all its rounds. */
  tokens: z.int(),
  /** Loss of the last step. */
  loss: z.number(),
});
export type ShareResult = Readonly<z.output<typeof SHARE_RESULT>>;

/** One of the trainings that make a round of an averaged one. */
const SHARE = HOLD.extend({
  /** The folder that it is trained in, beside that of the job. */
  folder: z.string(),
  /** Null: its part of the round is still to be done. */
  done: SHARE_RESULT.nullable(),
});
export type Share = Readonly<z.output<typeof SHARE>>;

/** A job, who has it, and where it is trained. What a worker has may be a share of it: the hold is that of the share then. */
export const JOB_ROW = HOLD.extend({
  job: JOB,
  /** Fingerprint of the model that it is trained on: a worker has one. */
  base: z.string(),
  /** What that model is called, for people. */
  baseName: z.string(),
  /** Folder of the adapter that it goes on from. */
  initAdapter: z.string().nullable(),
  /** The folder that it is trained in, beside those of other jobs. */
  folder: z.string(),
  /**
   * State of averaged training: how many rounds have ended, and the shares of the next one. Without shares no round has
   * begun.
   */
  round: z.int(),
  shares: z.array(SHARE),
  /** How often something of what it has trained was removed. */
  removals: z.int().default(0),
  /** The share that is held; null: the job itself is held, as always in the table. */
  share: z.int().nullable(),
});
export type JobRow = Readonly<z.output<typeof JOB_ROW>>;

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

/** Selects some of the jobs, which is what tables do fast: those that have ended are ever more. */
export interface JobPart {
  /** Only with one of these statuses. */
  readonly statuses?: readonly JobStatus[];
  /** Only of bases that are called so. */
  readonly baseName?: string;
  /** Only those whose ids begin so. */
  readonly idStart?: string;
}

/** A job that cannot be read, such as one that another version has made, is as none. */
export interface JobTable {
  /** Adds a job; true also where it is there already. False: as many wait as may. */
  insert(row: JobRow, events: readonly JobEvent[], maxWaiting: number): Promise<boolean>;
  /** Locks a job, and does all of the decision or nothing. Null: there is none. */
  withJob<T>(id: string, decide: DecideOnRow<T>): Promise<T | null>;
  /** The same for the oldest of which a piece is free (queue/shares) and that nobody has locked just now. Null: there is none. */
  withNext<T>(base: string, decide: DecideOnRow<T>): Promise<T | null>;
  read(id: string): Promise<JobRow | null>;
  /** All, or those of a part, the oldest first. */
  list(part?: JobPart): Promise<JobRow[]>;
  /** Ids of those that have ended, with their removals. */
  listEnded(): Promise<ReadonlyMap<string, number>>;
  /** What a job has told, newest first; null: `after` is none of it. */
  listEvents(id: string, part?: EventPart): Promise<JobEvent[] | null>;
  /** What a job has told of steps, the oldest first. */
  listEventsOf(id: string, steps: readonly number[]): Promise<JobEvent[]>;
  close(): Promise<void>;
}

/** Statuses of jobs that somebody should be working on. */
export const TO_DO = ["queued", "validating_files", "running"] as const satisfies readonly JobStatus[];
