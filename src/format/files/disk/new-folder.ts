/** @file Output folders that must still be new when the result is written: of several writers that started at once, one wins. */
import { homedir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../../errors.ts";
import { systemCode } from "../../../messages/system-error.ts";
import { disk } from "./calls.ts";
import { isLock, lockFolder } from "./folder-lock.ts";
import { isTemporary } from "./temporaries.ts";

/** Makes the error for a folder that is not new; `path` is the path as the user gave it. */
export function notNew(path: string, found = "it is not empty"): UsageError {
  return new UsageError(
    "usage/output",
    `Cannot write to output "${path}": ${found}, expected an empty or new folder`,
    { hint: "Choose another output, or delete the existing one." },
  );
}

/**
 * Refuses a path whose "~" neither a shell nor the command has replaced, since a folder named "~" would be made.
 * @throws UsageError "usage/output"
 */
export function refuseTilde(path: string): void {
  if (path !== "~" && !path.startsWith("~/")) return;
  throw new UsageError(
    "usage/output",
    `Cannot write to output "${path}": it begins with "~", expected a full path`,
    { hint: `Write ${join(homedir(), path.slice(1))}.` },
  );
}

/** Renames a finished folder to its final name. @throws UsageError usage/output if there is a non-empty folder of that name */
export async function renameToNew(staging: string, folder: string, path: string): Promise<void> {
  try {
    await disk().rename(staging, folder);
  } catch (error) {
    if (!["ENOTEMPTY", "EEXIST"].includes(systemCode(error))) throw error;
    throw notNew(path, "another writer has made it meanwhile");
  }
}

/** Fills an existing, empty folder. @throws UsageError usage/output if it is not empty, or another process writes to it */
export async function fillEmpty(folder: string, path: string, fill: () => Promise<void>): Promise<void> {
  const lock = await lockFolder(folder);
  if (!("release" in lock)) throw notNew(path, "another process writes there");
  try {
    const names = await disk().readdir(folder);
    if (names.some((name) => !isTemporary(name) && !isLock(name))) throw notNew(path);
    await fill();
  } finally {
    await lock.release();
  }
}
