/** @file Finds V8's garbage collector, which otherwise needs a flag of the process. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Returns a function that collects the whole heap; undefined without V8, as on Bun. Restores the flag: V8 rejects code that it
 * cached under other flags, and would compile all modules loaded later anew.
 */
export function findCollector(): (() => void) | undefined {
  const { gc } = globalThis;
  if (gc) return () => gc();
  setFlagsFromString("--expose-gc");
  const found = runInNewContext("globalThis.gc") as (() => void) | undefined;
  setFlagsFromString("--no-expose-gc");
  return found;
}
