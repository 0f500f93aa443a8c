/**
 * @file The system calls by which files are read, written and renamed. All go through here, so that a test can make the n-th of
 * them fail and see what is left behind. Pipes and devices are refused here: opening one may block for ever.
 *
 * The calls come from an async scope, not a parameter, which would pass through every function between a command and a byte.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Stats } from "node:fs";
import * as node from "node:fs/promises";
import { refuseEndless, systemCode } from "../../../messages/system-error.ts";

/** The calls that may fail. */
export type Disk = Pick<
  typeof node,
  | "appendFile"
  | "link"
  | "mkdir"
  | "mkdtemp"
  | "open"
  | "readFile"
  | "readdir"
  | "realpath"
  | "rename"
  | "rm"
  | "rmdir"
  | "stat"
  | "statfs"
  | "utimes"
>;

const scope = new AsyncLocalStorage<Disk>();

/** Adds a check to the calls that open files: paths that are neither a file nor a folder are refused. */
function withoutEndless(calls: Disk): Disk {
  const look = async (path: unknown): Promise<void> => {
    const found = await calls.stat(path as string).catch((error: unknown) => {
      // Other problems of the path are reported by the call itself.
      if (systemCode(error) !== "") return null;
      throw error;
    });
    if (found) refuseEndless(found);
  };
  const guard = <C extends (...args: never[]) => Promise<unknown>>(call: C): C =>
    (async (...args: Parameters<C>) => {
      await look(args[0]);
      return await call(...args);
    }) as C;
  const { appendFile, open, readFile } = calls;
  return { ...calls, appendFile: guard(appendFile), open: guard(open), readFile: guard(readFile) };
}

const own = withoutEndless(node);

/** The disk in use: Node's own, unless the caller runs within `withDisk`. */
export function disk(): Disk {
  return scope.getStore() ?? own;
}

/** Runs `work`, and everything that it awaits, on another disk. */
export function withDisk<T>(other: Disk, work: () => Promise<T>): Promise<T> {
  return scope.run(withoutEndless(other), work);
}

/** Returns what is at a path; null if there is nothing or it cannot be examined. */
export async function tryStat(path: string): Promise<Stats | null> {
  return await disk()
    .stat(path)
    .catch(() => null);
}

/** Removes a file or folder if possible; never fails. */
export async function tryRemove(path: string): Promise<void> {
  await disk()
    .rm(path, { recursive: true, force: true })
    .catch(() => {});
}
