/** @file Waits for several pieces of work until all have ended, even if some fail. */

/**
 * Waits until all have ended, even if one fails, since they use memory and files until then. @throws the error of the first in
 * the list that failed
 */
export async function allDone(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((each) => each.status === "rejected");
  if (failed) throw failed.reason;
}
