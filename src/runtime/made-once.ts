/** @file What is made when it is first asked for, and kept. */
import { allDone } from "./memory/all-done.ts";

/** Gives what is kept under a key, or makes it. What fails, as for want of memory or at a disk, is made again when it is asked for. */
export function madeOnce<K extends string, T>(
  kept: Map<K, Promise<T>>,
  key: K,
  make: () => Promise<T>,
): Promise<T> {
  const known = kept.get(key);
  if (known) return known;
  const made = make();
  kept.set(key, made);
  made.catch(() => {
    if (kept.get(key) === made) kept.delete(key);
  });
  return made;
}

/**
 * Releases all that is kept, and forgets it; of what failed there is nothing to release. @throws the first error of those that
 * could not be released, when all others are
 */
export async function releaseMade<K extends string>(
  kept: Map<K, Promise<{ release(): Promise<void> } | null>>,
): Promise<void> {
  const all = [...kept.values()];
  kept.clear();
  await allDone(all.map(async (each) => await (await each.catch(() => null))?.release()));
}
