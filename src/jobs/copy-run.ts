/** @file Copies of runs and of checkpoints, also of those that another may still write to: each is there whole or not at all. */
import { cp, rename, rm } from "node:fs/promises";
import { basename } from "node:path";
import { FailedError } from "../errors.ts";
import { isLock } from "../format/files/disk/folder-lock.ts";
import { namesIn } from "../format/files/disk/names-in.ts";
import { isTemporary, temporaryName } from "../format/files/disk/temporaries.ts";
import { checkpointSteps } from "../format/run-checkpoints.ts";
import { systemCode, toFailedWrite } from "../messages/system-error.ts";

/** A worker that was lost, and is not, removes a checkpoint while it is copied at most once or twice. */
const MAX_COPIES = 5;

/** Copies a checkpoint that nobody changes. @throws FailedError "failed/write" */
export async function copyCheckpoint(source: string, target: string): Promise<void> {
  await makeWhole(target, (copy) => cp(source, copy, { recursive: true }));
}

/** Copies a run in the place of what is there. @throws FailedError "failed/write" */
export async function copyRun(source: string, target: string): Promise<void> {
  await makeWhole(target, async (copy) => {
    for (let numCopies = 1; !(await copySame(source, copy)); numCopies++) {
      if (numCopies === MAX_COPIES) {
        throw new FailedError("failed/write", `Cannot copy the run "${source}": it changes all the time`, {
          hint: "Stop the worker that still writes it.",
        });
      }
      await rm(copy, { recursive: true, force: true });
    }
    await rm(target, { recursive: true, force: true });
  });
}

/** Makes a folder under another name, and gives it its own when it is whole. @throws FailedError "failed/write" */
async function makeWhole(target: string, make: (unfinished: string) => Promise<void>): Promise<void> {
  const unfinished = temporaryName(target);
  try {
    await make(unfinished);
    await rename(unfinished, target);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true }).catch(() => {});
    throw toFailedWrite(error, target);
  }
}

/** Copies a folder without locks and what is being written; false: its checkpoints have changed meanwhile. */
async function copySame(source: string, copy: string): Promise<boolean> {
  const checkpoints = async (): Promise<string> => checkpointSteps(await namesIn(source)).join();
  const before = await checkpoints();
  const isKept = (path: string): boolean => !isLock(basename(path)) && !isTemporary(basename(path));
  try {
    await cp(source, copy, { recursive: true, filter: (path) => path === source || isKept(path) });
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    return false;
  }
  return (await checkpoints()) === before;
}
