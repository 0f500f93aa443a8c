/**
 * @file A job in pieces: one for each share of a round of averaged training, and one for the work between two rounds. A worker
 * takes a piece, and sees the job's row with the hold of that piece; this file converts between both.
 */
import { type Hold, type JobRow, TO_DO } from "../job-table.ts";

/** The hold of a piece of work that nobody has held yet. */
export const NEW_HOLD: Hold = { token: 0, owner: null, leaseUntilMs: null, maxSteps: 0, numLost: 0 };

function holdOf({ token, owner, leaseUntilMs, maxSteps, numLost }: Hold): Hold {
  return { token, owner, leaseUntilMs, maxSteps, numLost };
}

/** The folder in which a piece is done. */
export function folderOf({ folder, shares, share }: JobRow): string {
  return share === null ? folder : shares[share]!.folder;
}

/** Changes the folder of a piece, if one is given. */
export function withFolder(row: JobRow, folder = folderOf(row)): JobRow {
  if (row.share === null) return { ...row, folder };
  return { ...row, shares: row.shares.map((share, i) => (i === row.share ? { ...share, folder } : share)) };
}

/** The row of a job as the owner of one of its pieces sees it. */
export function pieceOf(row: JobRow, share: number | null): JobRow {
  return share === null ? row : { ...row, ...holdOf(row.shares[share]!), share };
}

/** Puts a piece back into the row of its job. */
export function withPiece(row: JobRow, piece: JobRow): JobRow {
  if (piece.share === null) return piece;
  const shares = piece.shares.map((share, i) => (i === piece.share ? { ...share, ...holdOf(piece) } : share));
  return { ...piece, ...holdOf(row), shares, share: null };
}

/** Pieces that can be done now: the unfinished shares of a round, otherwise the job itself. */
function openPieces(row: JobRow): JobRow[] {
  const shares = row.shares.flatMap(({ done }, i) => (done === null ? [pieceOf(row, i)] : []));
  return shares.length > 0 ? shares : [row];
}

/** All pieces that somebody holds. */
export function heldPieces(row: JobRow): JobRow[] {
  const all = [row, ...row.shares.map((_, i) => pieceOf(row, i))];
  return all.filter(({ leaseUntilMs }) => leaseUntilMs !== null);
}

/** The first piece that nobody holds any more. */
export function freePiece(row: JobRow, nowMs: number): JobRow | null {
  if (!TO_DO.some((status) => status === row.job.status)) return null;
  return openPieces(row).find(({ leaseUntilMs }) => leaseUntilMs === null || leaseUntilMs < nowMs) ?? null;
}

/** Until when all pieces that can be done now are held; null: one is not. */
export function heldUntilMs(row: JobRow): number | null {
  const ends = openPieces(row).map(({ leaseUntilMs }) => leaseUntilMs);
  return ends.some((end) => end === null) ? null : Math.min(...(ends as number[]));
}
