/** @file Waiting for pieces of work that share memory. */

/** Waits for the end of all, even when one fails: memory is theirs until then. @throws what the first that failed throws */
export async function allDone(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((each) => each.status === "rejected");
  if (failed) throw failed.reason;
}
