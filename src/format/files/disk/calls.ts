/**
 * @file The calls of the operating system through which files are read, written and renamed: one seam, so that a test can let
 * the n-th of them fail and see what is left behind. A pipe or a device is refused here: to open one may wait for ever.
 *
 * It is a scope and no parameter: a parameter would pass through every function between a command and a byte.
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

/** Refuses to open what is neither a file nor a folder, before a call that would. */
function withoutEndless(calls: Disk): Disk {
  const look = async (path: unknown): Promise<void> => {
    const found = await calls.stat(path as string).catch((error: unknown) => {
      // The call itself says what else is wrong.
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

/** Runs `work`, and all that it awaits, on another disk. */
export function withDisk<T>(other: Disk, work: () => Promise<T>): Promise<T> {
  return scope.run(withoutEndless(other), work);
}

/** What is at a path; null: nothing, or what cannot be looked at. */
export async function tryStat(path: string): Promise<Stats | null> {
  return await disk()
    .stat(path)
    .catch(() => null);
}

/** Removes a file or folder; what cannot be removed stays. */
export async function tryRemove(path: string): Promise<void> {
  await disk()
    .rm(path, { recursive: true, force: true })
    .catch(() => {});
}
