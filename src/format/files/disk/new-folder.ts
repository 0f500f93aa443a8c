/** @file Folders that must still be new when what was made for them is written: of several writers that began at once, one wins. */
import { homedir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../../errors.ts";
import { systemCode } from "../../../messages/system-error.ts";
import { disk } from "./calls.ts";
import { isLock, lockFolder } from "./folder-lock.ts";
import { isTemporary } from "./temporaries.ts";

/** The error of a folder that is not new; `path` is what the user calls it. */
export function notNew(path: string, found = "it is not empty"): UsageError {
  return new UsageError(
    "usage/output",
    `Cannot write to output "${path}": ${found}, expected an empty or new folder`,
    { hint: "Choose another output, or delete the existing one." },
  );
}

/** Refuses a path whose "~" neither a shell nor the command has replaced: a folder of that name would be made. @throws UsageError "usage/output" */
export function refuseTilde(path: string): void {
  if (path !== "~" && !path.startsWith("~/")) return;
  throw new UsageError(
    "usage/output",
    `Cannot write to output "${path}": it begins with "~", expected a full path`,
    { hint: `Write ${join(homedir(), path.slice(1))}.` },
  );
}

/** Gives a whole folder its name. @throws UsageError usage/output where another has it, unless that is empty */
export async function renameToNew(staging: string, folder: string, path: string): Promise<void> {
  try {
    await disk().rename(staging, folder);
  } catch (error) {
    if (!["ENOTEMPTY", "EEXIST"].includes(systemCode(error))) throw error;
    throw notNew(path, "another writer has made it meanwhile");
  }
}

/** Fills a folder that is there and empty. @throws UsageError usage/output where it is not, or another process fills it */
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
