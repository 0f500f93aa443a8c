/**
 * @file How the row of a job, or of a piece of it, changes when an owner takes, keeps, changes or gives back the piece. Each
 * decision depends only on the row, which the table has locked.
 *
 * An owner holds a piece as long as its lease has the newest number and has not been given back.
 */
import { type Job, type JobStatus, hasEnded } from "../job.ts";
import type { Hold, JobRow, ShareResult } from "../job-table.ts";
import { withFolder } from "./shares.ts";

/** How many consecutive owners may be lost without progress before the job counts as faulty. */
export const MAX_LOST = 5;
const ACTIVE: ReadonlySet<JobStatus> = new Set(["validating_files", "running"]);

/** Changes of an owner besides those of the job itself. */
export interface OwnChange extends Partial<Pick<JobRow, "round" | "shares">> {
  /** Folder in which the owner works on its piece. */
  readonly folder?: string;
  /** Ends the owner's share of the round; `shares` instead ends the work between two rounds. */
  readonly done?: ShareResult;
}

/** The state of an owner: it holds the job; it has lost it; or it holds it, but must stop. */
export type Standing = "held" | "lost" | "stopped";

/** Takes a piece that nobody holds any more; null: too many consecutive owners were lost at it. */
export function taken(row: JobRow, owner: string, leaseUntilMs: number): JobRow | null {
  const numLost = row.numLost + Number(row.leaseUntilMs !== null);
  if (numLost > MAX_LOST) return null;
  const status = row.shares.length === 0 ? "validating_files" : "running";
  return { ...row, job: { ...row.job, status }, token: row.token + 1, owner, leaseUntilMs, numLost };
}

/** Extends the lease of a piece; null: the piece is lost. `numSteps`: the owner's progress. */
export function kept(
  row: JobRow,
  { token }: Pick<Hold, "token">,
  leaseUntilMs: number,
  numSteps: number,
): JobRow | null {
  if (row.token !== token || row.leaseUntilMs === null) return null;
  const isFurther = numSteps > row.maxSteps;
  return { ...row, leaseUntilMs, ...(isFurther ? { maxSteps: numSteps, numLost: 0 } : {}) };
}

/** Whether a job should be worked on; if not, it was stopped or has ended. */
export function isActive({ job }: JobRow): boolean {
  return ACTIVE.has(job.status);
}

/** Whether a change ends the piece of its owner. */
export function endsPiece({ done, shares }: OwnChange): boolean {
  return done !== undefined || shares !== undefined;
}

/**
 * Changes a piece for its owner; null: the owner has lost it, or the job was stopped. Repeating a change whose answer was lost
 * leaves the row unchanged.
 */
export function changed(
  row: JobRow,
  { token, share: own }: Pick<JobRow, "token" | "share">,
  change: Partial<Job>,
  ofOwn: OwnChange,
): JobRow | null {
  if (row.token !== token) return null;
  if (hasEnded(row.job) && row.job.status === change.status) return row;
  if (!isActive(row)) return null;
  const isPieceDone = endsPiece(ofOwn);
  if (isPieceDone && row.leaseUntilMs === null) return row;
  const { folder, done, ...more } = ofOwn;
  const job = { ...row.job, ...change };
  const isOver = isPieceDone || !ACTIVE.has(job.status);
  const moved = withFolder({ ...row, ...more, job }, folder);
  const shares = moved.shares.map((share, i) => (done && i === own ? { ...share, done } : share));
  return { ...moved, shares, ...(isOver ? { owner: null, leaseUntilMs: null } : {}) };
}

/**
 * Gives a piece back; null: the owner has lost it. If nobody else holds a piece of the job, it waits again, unless it was
 * stopped.
 */
export function givenBack(row: JobRow, { token }: Pick<Hold, "token">, numSteps: number): JobRow | null {
  if (row.token !== token || row.leaseUntilMs === null) return null;
  const isOthers = row.shares.some(({ leaseUntilMs }, i) => i !== row.share && leaseUntilMs !== null);
  const status = isActive(row) && !isOthers ? "queued" : row.job.status;
  const maxSteps = Math.max(row.maxSteps, numSteps);
  return { ...row, job: { ...row.job, status }, owner: null, leaseUntilMs: null, maxSteps };
}
