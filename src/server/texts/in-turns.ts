/** @file Texts of a request, read one after another: a list may be as long as a body, and others have their turn in between. */

/** How long reading may keep the thread; `data/files/breath` says the same of files, by what Node alone has. */
const MAX_BUSY_MS = 10;

/** Reads the values of a list. @throws as `read` */
export async function inTurns<T, R>(list: readonly T[], read: (value: T, index: number) => R): Promise<R[]> {
  const results: R[] = [];
  let lastMs = performance.now();
  for (const [index, value] of list.entries()) {
    results.push(read(value, index));
    if (performance.now() - lastMs < MAX_BUSY_MS) continue;
    await new Promise((resolve) => setTimeout(resolve));
    lastMs = performance.now();
  }
  return results;
}
