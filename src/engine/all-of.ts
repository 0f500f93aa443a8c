/** @file Waits for several promises of which one failure ends the others. */

/** Waits for all results, and calls `fail` at the first failure. @throws the error of the first in the list that failed */
export async function allOf<T>(results: readonly Promise<T>[], fail: () => void): Promise<T[]> {
  for (const result of results) result.catch(fail);
  const settled = await Promise.allSettled(results);
  return settled.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}
