/**
 * @file Names of files and folders that are being written, `.NAME.graft-HOST-PID-START-RANDOM.tmp`, and removal of those that
 * killed processes left behind.
 */
import { randomUUID } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { disk } from "./calls.ts";
import { namesIn } from "./names-in.ts";
import { isGone, markOf, readMark, thisProcess } from "./owner.ts";

/** Most bytes of NAME: file systems limit names to 255 bytes. */
const MAX_SHOWN_BYTES = 100;
const TEMPORARY = /^\..*\.graft-([^.]*)-[0-9a-f]{8}\.tmp$/s;

/** Makes up a name in the folder of `path` for a file or folder that will be renamed to it. */
export function temporaryName(path: string): string {
  const shown = Buffer.from(basename(path))
    .subarray(0, MAX_SHOWN_BYTES)
    .toString()
    .replace(/\uFFFD+$/, "");
  const mark = markOf(thisProcess());
  return join(dirname(path), `.${shown}.graft-${mark}-${randomUUID().slice(0, 8)}.tmp`);
}

/** Whether a name is that of a temporary file or folder of any process. */
export function isTemporary(name: string): boolean {
  return readMark(TEMPORARY.exec(name)?.[1] ?? "") !== null;
}

/** Whether a name is that of a temporary file or folder whose process has ended. */
export function isAbandoned(name: string): boolean {
  const owner = readMark(TEMPORARY.exec(name)?.[1] ?? "");
  return owner !== null && isGone(owner);
}

/**
 * Removes the temporary files and folders of a folder whose processes have ended. Each is tried a few times: a child of an ended
 * process may still put files into a temporary folder, which then is not empty when it is removed. What cannot be listed or
 * removed stays.
 */
export async function sweepTemporaries(folder: string): Promise<void> {
  for (const name of (await namesIn(folder)).filter(isAbandoned)) {
    await disk()
      .rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 })
      .catch(() => {});
  }
}
