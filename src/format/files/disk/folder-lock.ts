/**
 * @file A lock on a folder, so that one thread of one process works in it at a time: `.graft-lock/owner.json` names the owner.
 *
 * The lock is a folder because a rename onto a folder that is not empty fails on every file system: so it is taken in one step,
 * with its contents. A lock whose owner has ended is removed under a second lock, so that of two that find it only one does so.
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
/** Most attempts to take a lock: others may take and release it between two attempts. */
const MAX_LOOKS = 20;

const OWNER = z.object({
  host: z.string(),
  pid: z.int(),
  startTime: z.string().nullable(),
  /** Absent when it is not known. */
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
  /** The ended owner from whom the lock was taken; null: nobody. */
  readonly takenFrom: Owner | null;
  release(): Promise<void>;
}

/** A lock that another holds; `owner` is null when it is not known. */
export interface Held {
  readonly owner: Owner | null;
}

/** Locks a folder that exists, or returns who holds the lock. @throws the system's error when the folder cannot be written */
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

/** Whether a file name in a folder is that of a lock. */
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
    // Windows reports an existing lock as EPERM, which elsewhere has other causes.
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

/** Removes a lock whose owner has ended; false when another process was faster. */
async function takeAway(folder: string, lock: string): Promise<boolean> {
  const guard = join(folder, TAKEOVER_NAME);
  if (!(await put(guard))) {
    const other = await ownerOf(guard);
    // A process was killed while it held the guard.
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
  // If the rename fails, remove it in several steps: better than a lock that stays for the life of this process.
  await tryRemove(isMoved === null ? path : temporary);
  return isMoved !== false;
}

/** Returns a function that releases a lock; if the process exits before, the lock is released at exit. */
function releaseOnExit(lock: string): () => Promise<void> {
  const onExit = (): void => {
    try {
      const temporary = temporaryName(lock);
      renameSync(lock, temporary);
      rmSync(temporary, { recursive: true, force: true });
    } catch {
      // The next run will find that this process has ended.
    }
  };
  process.once("exit", onExit);
  return async () => {
    process.off("exit", onExit);
    await remove(lock);
  };
}
