/** @file One run per folder: a run locks its output folder while it works, and other runs are told which process has the lock. */
import { UsageError } from "../../../errors.ts";
import { type FolderLock, type Held, LOCK_NAME, lockFolder } from "../../../format/files/disk/folder-lock.ts";
import { makeFolders, removeFolders } from "../../../format/files/disk/make-folders.ts";
import type { Owner } from "../../../format/files/disk/owner.ts";
import { toFailedWrite } from "../../../messages/system-error.ts";

type RunLock = Pick<FolderLock, "release">;

function describe({ host, pid }: Owner): string {
  return `process ${pid} on "${host}"`;
}

function inUse(output: string, { owner }: Held): UsageError {
  const found = owner === null ? "another run" : `another run, ${describe(owner)},`;
  return new UsageError(
    "usage/output",
    `Cannot write to output "${output}": ${found} is working in it, expected a folder of its own`,
    {
      hint: `Wait for that run, stop it, or choose another folder; if it ran on another machine and has ended, delete "${output}/${LOCK_NAME}".`,
    },
  );
}

/**
 * Takes the lock of an output folder. Creates the folder if needed, and removes it on release if it is still empty. `tell` is told
 * of a lock that was taken over from a process that has ended.
 * @throws UsageError "usage/output" when another run has it; FailedError "failed/write"
 */
export async function lockRun(output: string, tell: (note: string) => void): Promise<RunLock> {
  const { made, lock } = await takeLock(output);
  const release = async (): Promise<void> => {
    await lock.release();
    await removeFolders(made);
  };
  if (!lock.takenFrom) return { release };
  try {
    tell(
      `The run of ${describe(lock.takenFrom)} ended without releasing its folder "${output}", which is taken over`,
    );
  } catch (error) {
    await release();
    throw error;
  }
  return { release };
}

/** Makes the folder if need be, and takes its lock; `made`: folders that were not there before. */
async function takeLock(
  output: string,
): Promise<{ readonly made: readonly string[]; readonly lock: FolderLock }> {
  let made: readonly string[] = [];
  try {
    made = await makeFolders(output);
    const lock = await lockFolder(output);
    if (!("release" in lock)) throw inUse(output, lock);
    return { made, lock };
  } catch (error) {
    await removeFolders(made);
    throw toFailedWrite(error, output);
  }
}
