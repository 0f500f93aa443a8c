/**
 * @file A lock on a folder, so that one thread of a process works in it at a time: `.graft-lock/owner.json`, which says whose it is.
 *
 * It is a folder because a rename onto a folder that holds something fails on every file system: so it is taken in one step, with
 * its contents. A lock whose process has ended is taken away under a second lock: two that find it may not both do so.
 */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { systemCode } from "../../../messages/system-error.ts";
import { disk, tryRemove } from "./calls.ts";
import * as processes from "./owner.ts";
import { isThreadGone, thisThread } from "./owner-thread.ts";
import { temporaryName } from "./temporaries.ts";
import { writeAll } from "./write-all.ts";

export const LOCK_NAME = ".graft-lock";
const TAKEOVER_NAME = ".graft-lock-takeover";
const OWNER_FILE = "owner.json";
/** Others may come and go between two looks. */
const MAX_LOOKS = 20;

const OWNER = z.object({
  host: z.string(),
  pid: z.int(),
  startTime: z.string().nullable(),
  /** Absent where it is not known. */
  thread: z.int().optional(),
});

type Owner = z.output<typeof OWNER>;

/** Whether the process or the thread that holds a lock has ended. */
async function isGone(owner: Owner): Promise<boolean> {
  if (processes.isGone(owner)) return true;
  const { host, pid } = processes.thisProcess();
  if (owner.thread === undefined || owner.host !== host || owner.pid !== pid) return false;
  return await isThreadGone(owner.thread);
}

/** A lock that this process holds. */
export interface FolderLock {
  /** Who held it before and has ended; null: nobody. */
  readonly takenFrom: Owner | null;
  release(): Promise<void>;
}

/** A lock that another holds; `owner` is null when it does not say who. */
export interface Held {
  readonly owner: Owner | null;
}

/** Takes a lock of a folder that exists, or says who has it. @throws the system's error when the folder cannot be written */
export async function lockFolder(folder: string, name = LOCK_NAME): Promise<FolderLock | Held> {
  const lock = join(folder, name);
  let takenFrom: Owner | null = null;
  for (let look = 0; look < MAX_LOOKS; look++) {
    if (await put(lock)) return { takenFrom, release: releaseOnExit(lock) };
    const owner = await ownerOf(lock);
    if (owner === "nobody") continue;
    if (owner === "unknown") return { owner: null };
    if (!(await isGone(owner))) return { owner };
    if (await takeAway(folder, lock)) takenFrom = owner;
  }
  return { owner: null };
}

/** Whether a name in a folder is that of a lock. */
export function isLock(name: string): boolean {
  return name === LOCK_NAME || name === TAKEOVER_NAME;
}

/** Puts a lock of this process at `path`; false when one is there. */
async function put(path: string): Promise<boolean> {
  const temporary = temporaryName(path);
  try {
    await disk().mkdir(temporary);
    const handle = await disk().open(join(temporary, OWNER_FILE), "wx");
    try {
      await writeAll(
        handle,
        new TextEncoder().encode(JSON.stringify({ ...processes.thisProcess(), thread: thisThread() })),
      );
      await handle.sync();
    } finally {
      await handle.close();
    }
    await disk().rename(temporary, path);
    return true;
  } catch (error) {
    await tryRemove(temporary);
    const code = systemCode(error);
    if (code === "ENOTEMPTY" || code === "EEXIST") return false;
    // What Windows says then, and other systems of other things.
    if (code === "EPERM" && (await ownerOf(path)) !== "nobody") return false;
    throw error;
  }
}

async function ownerOf(path: string): Promise<Owner | "nobody" | "unknown"> {
  try {
    const parsed = OWNER.safeParse(JSON.parse(await disk().readFile(join(path, OWNER_FILE), "utf8")));
    return parsed.success ? parsed.data : "unknown";
  } catch (error) {
    return systemCode(error) === "ENOENT" ? "nobody" : "unknown";
  }
}

/** Takes away a lock of a process that has ended; false when another process was faster. */
async function takeAway(folder: string, lock: string): Promise<boolean> {
  const guard = join(folder, TAKEOVER_NAME);
  if (!(await put(guard))) {
    const other = await ownerOf(guard);
    // One that was killed in these few steps.
    if (typeof other === "object" && (await isGone(other))) await remove(guard);
    return false;
  }
  try {
    const owner = await ownerOf(lock);
    return typeof owner === "object" && (await isGone(owner)) && (await remove(lock));
  } finally {
    await remove(guard);
  }
}

/** Removes a lock in one step; false when it is not there. */
async function remove(path: string): Promise<boolean> {
  const temporary = temporaryName(path);
  const isMoved = await disk()
    .rename(path, temporary)
    .then(() => true)
    .catch((error: unknown) => (systemCode(error) === "ENOENT" ? false : null));
  // In more than one step, where one does not work: better than a lock that stays as long as this process.
  await tryRemove(isMoved === null ? path : temporary);
  return isMoved !== false;
}

/** Makes what releases a lock; when the process exits before, it is done then. */
function releaseOnExit(lock: string): () => Promise<void> {
  const onExit = (): void => {
    try {
      const temporary = temporaryName(lock);
      renameSync(lock, temporary);
      rmSync(temporary, { recursive: true, force: true });
    } catch {
      // The next run finds that this process has ended.
    }
  };
  process.once("exit", onExit);
  return async () => {
    process.off("exit", onExit);
    await remove(lock);
  };
}
