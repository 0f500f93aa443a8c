/**
 * @file What becomes of the row of a job, or of a piece of it, in the hands of an owner: taken, kept, changed, given back. Each is
 * decided on the row alone, which the table has locked.
 *
 * An owner holds a piece as long as its lease has the newest number and has not been given back.
 */
import { type Job, type JobStatus, hasEnded } from "../job.ts";
import type { Hold, JobRow, ShareResult } from "../job-table.ts";
import { withFolder } from "./shares.ts";

/** Owners in a row that may vanish at the same place before the job is at fault. */
export const MAX_LOST = 5;
const ACTIVE: ReadonlySet<JobStatus> = new Set(["validating_files", "running"]);

/** What an owner changes beside the job itself. */
export interface OwnChange extends Partial<Pick<JobRow, "round" | "shares">> {
  /** Folder in which the owner does its piece. */
  readonly folder?: string;
  /** Ends the owner's share of the round, as `shares` ends what is done between two. */
  readonly done?: ShareResult;
}

/** An owner's standing: the job is its own; somebody else's; or its own, but to be stopped. */
export type Standing = "held" | "lost" | "stopped";

/** Takes a piece that nobody has any more; null: too many owners in a row were lost at it. */
export function taken(row: JobRow, owner: string, leaseUntilMs: number): JobRow | null {
  const numLost = row.numLost + Number(row.leaseUntilMs !== null);
  if (numLost > MAX_LOST) return null;
  const status = row.shares.length === 0 ? "validating_files" : "running";
  return { ...row, job: { ...row.job, status }, token: row.token + 1, owner, leaseUntilMs, numLost };
}

/** Keeps a piece until another time; null: it is lost. `numSteps`: how far it has come. */
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

/** Whether a job is to be worked on; if not, it was stopped or has ended. */
export function isActive({ job }: JobRow): boolean {
  return ACTIVE.has(job.status);
}

/** Whether a change ends the piece of its owner. */
export function endsPiece({ done, shares }: OwnChange): boolean {
  return done !== undefined || shares !== undefined;
}

/**
 * Changes a piece as its owner says; null: it is not its own any more, or was stopped. A change that was made before, but not
 * heard of, leaves the row as it is.
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

/** Gives a piece back; null: it is not the owner's any more. A job of which nobody has a piece then waits again, unless it was stopped. */
export function givenBack(row: JobRow, { token }: Pick<Hold, "token">, numSteps: number): JobRow | null {
  if (row.token !== token || row.leaseUntilMs === null) return null;
  const isOthers = row.shares.some(({ leaseUntilMs }, i) => i !== row.share && leaseUntilMs !== null);
  const status = isActive(row) && !isOthers ? "queued" : row.job.status;
  const maxSteps = Math.max(row.maxSteps, numSteps);
  return { ...row, job: { ...row.job, status }, owner: null, leaseUntilMs: null, maxSteps };
}
