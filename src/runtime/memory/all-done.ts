/** @file Waiting for pieces of work that have to end, whether or not others fail. */

/** Waits for the end of all, even when one fails: until then memory and files are theirs. @throws what the first that failed throws */
export async function allDone(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((each) => each.status === "rejected");
  if (failed) throw failed.reason;
}
