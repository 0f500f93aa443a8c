/** @file Values that are made at the first request, and kept. */
import { allDone } from "./memory/all-done.ts";

/** Returns the value kept under a key, or makes it. A failure (memory, disk) is not kept: the next call tries again. */
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
 * Releases and forgets everything that is kept; what failed to be made is skipped. @throws the first error of a release, after
 * all have been tried
 */
export async function releaseMade<K extends string>(
  kept: Map<K, Promise<{ release(): Promise<void> } | null>>,
): Promise<void> {
  const all = [...kept.values()];
  kept.clear();
  await allDone(all.map(async (each) => await (await each.catch(() => null))?.release()));
}
