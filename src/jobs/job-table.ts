/**
 * @file Contract of the table of jobs. It only stores rows and locks them one at a time; job-queue.ts decides what happens to a
 * locked row, the same for every kind of table.
 */
import { z } from "zod";
import { JOB, type JobEvent, type JobStatus } from "./job.ts";

/** Who holds a piece of work. */
const HOLD = z.object({
  /** Counts how often the piece was taken: a worker with an older number has lost it. */
  token: z.int(),
  owner: z.string().nullable(),
  /** When the owner's lease ends, in the table's milliseconds; null: nobody holds the piece. */
  leaseUntilMs: z.number().nullable(),
  /** Largest number of steps that any owner has reported, or that were made before the job and are not reported. */
  maxSteps: z.int(),
  /** Number of consecutive owners that were lost before they made progress. */
  numLost: z.int(),
});
export type Hold = Readonly<z.output<typeof HOLD>>;

/** The result of a share in a round. */
const SHARE_RESULT = z.object({
  /** Its weight in the mean. */
  examples: z.int(),
  /** Epochs of its whole training. */
  epochs: z.number().positive(),
  /** Tokens of all its rounds. */
  tokens: z.int(),
  /** Loss of the last step. */
  loss: z.number(),
});
export type ShareResult = Readonly<z.output<typeof SHARE_RESULT>>;

/** One of the trainings of a round of averaged training. */
const SHARE = HOLD.extend({
  /** The folder in which it is trained, beside that of the job. */
  folder: z.string(),
  /** null: its part of the round is not finished. */
  done: SHARE_RESULT.nullable(),
});
export type Share = Readonly<z.output<typeof SHARE>>;

/**
 * A job, its owner, and where it is trained. In a worker's hands the row may stand for a share of the job, with the share's hold.
 */
export const JOB_ROW = HOLD.extend({
  job: JOB,
  /** Fingerprint of the model to train on; a worker has one model. */
  base: z.string(),
  /** Name of that model, for people. */
  baseName: z.string(),
  /** Folder of the adapter from which the job continues. */
  initAdapter: z.string().nullable(),
  /** The folder in which the job is trained, beside those of other jobs. */
  folder: z.string(),
  /**
   * State of averaged training: the number of finished rounds, and the shares of the next one. Without shares no round has begun.
   */
  round: z.int(),
  shares: z.array(SHARE),
  /** How often a result of the job was removed. */
  removals: z.int().default(0),
  /** The share that is held; null: the job itself, as always in the table. */
  share: z.int().nullable(),
});
export type JobRow = Readonly<z.output<typeof JOB_ROW>>;

/** A decision about a locked row. */
export interface RowDecision<T> {
  /** Replaces the row; unless given, the row is unchanged. */
  readonly row?: JobRow;
  /** Events to add to the job; events with ids that it has already are ignored. */
  readonly events?: readonly JobEvent[];
  readonly result: T;
}

/** Decides about a row that nobody else can change meanwhile. `nowMs`: the table's clock, which all workers share. */
export type DecideOnRow<T> = (row: JobRow, nowMs: number) => RowDecision<T>;

/** Selects some of a job's events. */
export interface EventPart {
  /** Only events older than the one with this id; by default from the newest on. */
  readonly after?: string | undefined;
  /** At most this many events; by default all. */
  readonly limit?: number;
}

/** Selects jobs by conditions that tables can check fast: the number of ended jobs only grows. */
export interface JobPart {
  /** Only jobs with one of these statuses. */
  readonly statuses?: readonly JobStatus[];
  /** Only jobs whose base has this name. */
  readonly baseName?: string;
  /** Only jobs whose ids begin with this. */
  readonly idStart?: string;
}

/** A job that cannot be read, for instance one made by another version, counts as missing. */
export interface JobTable {
  /** Adds a job; true also if it exists already. False: too many jobs wait. */
  insert(row: JobRow, events: readonly JobEvent[], maxWaiting: number): Promise<boolean>;
  /** Locks a job, and applies the whole decision or nothing. null: there is no such job. */
  withJob<T>(id: string, decide: DecideOnRow<T>): Promise<T | null>;
  /** The same for the oldest job with a free piece (queue/shares) that nobody has locked. null: there is none. */
  withNext<T>(base: string, decide: DecideOnRow<T>): Promise<T | null>;
  read(id: string): Promise<JobRow | null>;
  /** All jobs or the selected ones, the oldest first. */
  list(part?: JobPart): Promise<JobRow[]>;
  /** Ids of ended jobs, with their numbers of removals. */
  listEnded(): Promise<ReadonlyMap<string, number>>;
  /** Events of a job, newest first; null: `after` is not one of them. */
  listEvents(id: string, part?: EventPart): Promise<JobEvent[] | null>;
  /** Events of a job about the given steps, the oldest first. */
  listEventsOf(id: string, steps: readonly number[]): Promise<JobEvent[]>;
  close(): Promise<void>;
}

/** Statuses of jobs that somebody should be working on. */
export const TO_DO = ["queued", "validating_files", "running"] as const satisfies readonly JobStatus[];
