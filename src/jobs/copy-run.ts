/** @file Copies runs and checkpoints, even while another process may still write to them; a copy appears whole or not at all. */
import { join } from "node:path";
import { FailedError } from "../errors.ts";
import { writeFolderAtomic } from "../format/files/atomic.ts";
import { disk, tryRemove } from "../format/files/disk/calls.ts";
import { namesIn } from "../format/files/disk/names-in.ts";
import { temporaryName } from "../format/files/disk/temporaries.ts";
import { checkpointSteps } from "../format/run-checkpoints.ts";
import { toFailedWrite } from "../messages/system-error.ts";
import { copiedFile, piecesIn } from "./copied-file.ts";
import { filesIn, isMissing } from "./run-files.ts";

/** A worker that is wrongly believed lost removes a checkpoint at most once or twice during a copy. */
const MAX_COPIES = 5;

/** Copies a checkpoint that does not change. @throws FailedError "failed/write", FormatError "format/file" */
export async function copyCheckpoint(source: string, target: string): Promise<void> {
  try {
    await copyFiles(source, target);
  } catch (error) {
    throw toFailedWrite(error, target);
  }
}

/** Replaces `target` by a copy of a run. @throws FailedError "failed/write", FormatError "format/file" */
export async function copyRun(source: string, target: string): Promise<void> {
  const copy = temporaryName(target);
  try {
    for (let numCopies = 1; !(await copySame(source, copy)); numCopies++) {
      if (numCopies === MAX_COPIES) {
        throw new FailedError("failed/write", `Cannot copy the run "${source}": it keeps changing`, {
          hint: "Stop the worker that is still writing it.",
        });
      }
      await disk().rm(copy, { recursive: true, force: true });
    }
    await disk().rm(target, { recursive: true, force: true });
    await disk().rename(copy, target);
  } catch (error) {
    await tryRemove(copy);
    throw toFailedWrite(error, target);
  }
}

/** Copies a run; false: its checkpoints changed meanwhile. */
async function copySame(source: string, copy: string): Promise<boolean> {
  const checkpoints = async (): Promise<string> => checkpointSteps(await namesIn(source)).join();
  const before = await checkpoints();
  try {
    await copyFiles(source, copy);
  } catch (error) {
    if (!isMissing(error)) throw error;
    return false;
  }
  return (await checkpoints()) === before;
}

async function copyFiles(source: string, target: string): Promise<void> {
  const paths = await filesIn(source);
  await writeFolderAtomic(
    target,
    paths.map((path) => copiedFile(path, () => piecesIn(join(source, path)))),
  );
}
