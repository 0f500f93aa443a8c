/**
 * @file Folders of downloads, which appear whole or not at all and are gone on with after a failure. (What is computed is
 * written anew: format/files/atomic.ts.)
 *
 * At rest an unfinished folder is `TARGET.PURPOSE.partial`. A process works on it only after it has renamed it to
 * `TARGET.PURPOSE.partial-HOST-PID-RANDOM`; a rename has one winner, so two pulls never write the same file, and no lock
 * file can go stale. What a killed process leaves behind is claimed by the next one in the same way.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";

import { FailedError } from "../errors.ts";
import { isWriteFault, systemCode } from "../system-error.ts";

const HOST = hostname().replaceAll(/[^A-Za-z0-9]/g, "");

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}

/** Renames and tells whether it worked; a loser of a race sees ENOENT. */
async function tryRename(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch {
    return false;
  }
}

/** Takes over an unfinished folder that nobody works on, or makes a fresh one. */
async function claim(unfinished: string): Promise<string> {
  const folder = dirname(unfinished);
  const resting = basename(unfinished);
  const own = `${unfinished}-${HOST}-${process.pid}-${randomUUID().slice(0, 8)}`;
  await mkdir(folder, { recursive: true });
  const abandoned = (await readdir(folder)).filter((name) => {
    if (name === resting) return true;
    const [host, pid] = name.startsWith(`${resting}-`) ? name.slice(resting.length + 1).split("-") : [];
    return host === HOST && pid !== undefined && !isAlive(Number(pid));
  });
  for (const name of abandoned) {
    if (await tryRename(join(folder, name), own)) return own;
  }
  await mkdir(own);
  return own;
}

/** Leaves an unfinished folder for the next attempt. */
async function release(own: string, unfinished: string): Promise<void> {
  const isEmpty = (await readdir(own)).length === 0;
  if (isEmpty || existsSync(unfinished) || !(await tryRename(own, unfinished))) {
    await rm(own, { recursive: true, force: true });
  }
}

/**
 * Makes the folder `target` appear with what `fill` writes. A failed `fill` keeps its files for the next call of the
 * same `purpose`, a word that keeps unlike sources apart. When another process was faster, its folder stays and ours is dropped.
 * @throws FailedError "failed/write" when the disk refuses.
 */
export async function makeFolder(
  target: string,
  purpose: string,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  const unfinished = `${target}.${purpose}.partial`;
  let own: string | null = null;
  try {
    own = await claim(unfinished);
    await fill(own);
    if (!(await tryRename(own, target))) {
      if (!existsSync(target)) await rename(own, target);
      await rm(own, { recursive: true, force: true });
    }
  } catch (error) {
    if (own !== null && existsSync(own)) await release(own, unfinished);
    if (!isWriteFault(error)) throw error;
    throw new FailedError("failed/write", `Cannot write model folder "${target}": ${systemCode(error)}`, {
      hint: "Free some space, or set GRAFT_HOME to a folder that can be written.",
      cause: error,
    });
  }
}
