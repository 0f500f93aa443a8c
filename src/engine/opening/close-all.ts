/** @file Closes several things, even if closing one fails. */

/** Runs steps one after another, also after one that fails. @throws the first failure, after all steps have run */
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
