/** @file Has V8 collect its heap when it is asked to, which else takes a flag of the process. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Finds what collects the whole heap; undefined where there is no V8, as on Bun. Flags are as before then: of modules that are
 * loaded later V8 would refuse what it has kept of them, and keep them anew.
 */
export function findCollector(): (() => void) | undefined {
  const { gc } = globalThis;
  if (gc) return () => gc();
  setFlagsFromString("--expose-gc");
  const found = runInNewContext("globalThis.gc") as (() => void) | undefined;
  setFlagsFromString("--no-expose-gc");
  return found;
}
