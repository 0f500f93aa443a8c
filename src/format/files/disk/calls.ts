/**
 * @file The calls of the operating system through which files are read, written and renamed: one seam, so that a test can let
 * the n-th of them fail and see what is left behind.
 *
 * Scoped and not a parameter, since every path from a command to a byte would have to carry it.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import * as node from "node:fs/promises";

/** The calls that may fail. */
export type Disk = Pick<
  typeof node,
  "appendFile" | "link" | "mkdir" | "open" | "readFile" | "readdir" | "rename" | "rm" | "rmdir" | "stat"
>;

const scope = new AsyncLocalStorage<Disk>();

/** The disk in use: Node's own, unless the caller runs within `withDisk`. */
export function disk(): Disk {
  return scope.getStore() ?? node;
}

/** Runs `work`, and all that it awaits, on another disk. */
export function withDisk<T>(other: Disk, work: () => Promise<T>): Promise<T> {
  return scope.run(other, work);
}
