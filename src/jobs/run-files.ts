/** @file The files of a run or a checkpoint, without locks and temporary files. Another process may change them meanwhile. */
import { join, sep } from "node:path";
import { disk } from "../format/files/disk/calls.ts";
import { isLock } from "../format/files/disk/folder-lock.ts";
import { isTemporary } from "../format/files/disk/temporaries.ts";
import { systemCode, toFailedRead } from "../messages/system-error.ts";

function isKept(path: string): boolean {
  return path.split(sep).every((name) => !isLock(name) && !isTemporary(name));
}

/**
 * Lists the paths of the files in a folder and below, relative to it, in order; none if it is missing.
 * @throws FormatError "format/file", also for a file that disappears meanwhile
 */
export async function filesIn(folder: string): Promise<string[]> {
  try {
    const names = await disk()
      .readdir(folder, { recursive: true })
      .catch((error: unknown): string[] => {
        if (isMissing(error)) return [];
        throw error;
      });
    const found: string[] = [];
    for (const path of names.filter(isKept).toSorted()) {
      if ((await disk().stat(join(folder, path))).isFile()) found.push(path);
    }
    return found;
  } catch (error) {
    throw toFailedRead(error, folder);
  }
}

/** Whether an error is, or was caused by, something that is missing. */
export function isMissing(error: unknown): boolean {
  return systemCode(error) === "ENOENT" || (error instanceof Error && isMissing(error.cause));
}
