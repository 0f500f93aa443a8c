/**
 * @file Folders of downloads. They appear whole or not at all, and after a failure a download continues where it stopped. (Files
 * that are computed are written again instead: format/files/atomic.ts.)
 *
 * An unfinished folder that nobody works on is `TARGET.PURPOSE.partial`. A process works on it only after it has renamed it to
 * `TARGET.PURPOSE.partial-HOST-PID-START-RANDOM`; a rename has one winner, so two pulls never write the same file, and no lock
 * file can go stale. What a killed process leaves behind is claimed by the next one in the same way.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { FailedError } from "../../errors.ts";
import { syncFolder } from "../../format/files/atomic.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { makeFolders } from "../../format/files/disk/make-folders.ts";
import { isGone, markOf, readMark, thisProcess } from "../../format/files/disk/owner.ts";
import { isWriteFault, systemCode } from "../../messages/system-error.ts";

/** Renames, and returns whether it worked; a process that lost the race gets ENOENT. */
async function tryRename(from: string, to: string): Promise<boolean> {
  try {
    await disk().rename(from, to);
    return true;
  } catch {
    return false;
  }
}

/** Whether `name` is `resting`, or the renamed folder of a process that has ended. */
function isUnclaimed(name: string, resting: string): boolean {
  if (name === resting) return true;
  const mark = name.startsWith(`${resting}-`)
    ? /^(.*)-[0-9a-f]+$/.exec(name.slice(resting.length + 1))
    : null;
  const owner = readMark(mark?.[1] ?? "");
  return owner !== null && isGone(owner);
}

/** Claims the first of `damaged` and of the unfinished folders that nobody works on, or makes a new one. */
async function claim(unfinished: string, damaged: readonly string[]): Promise<string> {
  const folder = dirname(unfinished);
  const own = `${unfinished}-${markOf(thisProcess())}-${randomUUID().slice(0, 8)}`;
  await makeFolders(folder);
  const names = (await disk().readdir(folder)).filter((name) => isUnclaimed(name, basename(unfinished)));
  let isTaken = false;
  for (const path of [...damaged, ...names.map((name) => join(folder, name))]) {
    // One folder to continue from is enough.
    if (isTaken) await disk().rm(path, { recursive: true, force: true });
    else isTaken = await tryRename(path, own);
  }
  if (!isTaken) await disk().mkdir(own);
  return own;
}

/** Leaves an unfinished folder for the next attempt. */
async function release(own: string, unfinished: string): Promise<void> {
  const isEmpty = (await disk().readdir(own)).length === 0;
  if (isEmpty || existsSync(unfinished) || !(await tryRename(own, unfinished))) {
    await disk().rm(own, { recursive: true, force: true });
  }
}

/**
 * Makes the folder `target` appear with what `fill` writes. If `fill` fails, its files are kept for the next call with the same
 * `purpose`, a word that separates different sources. If another process was faster, its folder stays and ours is dropped. A
 * target that `isDamaged` is reopened first: `fill` finds its files in the folder.
 * @throws FailedError "failed/write" when the disk refuses.
 */
export async function makeFolder(
  target: string,
  purpose: string,
  fill: (folder: string) => Promise<void>,
  { isDamaged = false }: { readonly isDamaged?: boolean } = {},
): Promise<void> {
  const unfinished = `${target}.${purpose}.partial`;
  let own: string | null = null;
  try {
    own = await claim(unfinished, isDamaged ? [target] : []);
    await fill(own);
    await syncFolder(own);
    if (!(await tryRename(own, target))) {
      if (!existsSync(target)) await disk().rename(own, target);
      await disk().rm(own, { recursive: true, force: true });
    }
    await syncFolder(dirname(target));
  } catch (error) {
    if (own !== null && existsSync(own)) await release(own, unfinished).catch(() => {});
    if (!isWriteFault(error)) throw error;
    throw new FailedError("failed/write", `Cannot write model folder "${target}": ${systemCode(error)}`, {
      hint: "Free some space, or set GRAFT_HOME to a writable folder.",
      cause: error,
    });
  }
}
