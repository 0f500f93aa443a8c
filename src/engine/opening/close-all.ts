/** @file Closing what was opened, all of it. */

/** Runs one step after another, also after one that fails. @throws what the first that failed throws, when all have run */
export async function closeAll(steps: readonly (() => unknown)[]): Promise<void> {
  const faults: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      faults.push(error);
    }
  }
  if (faults.length > 0) throw faults[0];
}
