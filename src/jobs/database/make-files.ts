/**
 * @file Makes the files of a database in a thread, since it computes for seconds without a pause: the caller hears signals meanwhile and may
 * stop it. The files have their place when all are made, so that no other start finds half of them.
 */
import { mkdir, rename, rm } from "node:fs/promises";
import { runThread, threadFile } from "../../data/files/run-thread.ts";
import { FailedError } from "../../errors.ts";

/** What the thread tells: null, or why it could not. */
export type MakerMessage = { readonly message: string; readonly hint: string | null } | null;

const MAKER = threadFile("files-maker", import.meta.url);

/** Makes the files of a database in a folder, which is empty or not there. @throws FailedError "failed/database"; the reason of `signal` */
export async function makeFiles(folder: string, signal?: AbortSignal): Promise<void> {
  const unfinished = `${folder}.unfinished`;
  // Of a process that was killed.
  await rm(unfinished, { recursive: true, force: true });
  try {
    await mkdir(unfinished, { recursive: true });
    await runThread<MakerMessage, void>(MAKER, {
      workerData: unfinished,
      signal,
      onMessage: (told, resolve, reject) => (told === null ? resolve() : reject(toError(told))),
      lost: lostThread,
    });
    await rm(folder, { recursive: true, force: true });
    await rename(unfinished, folder);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

function toError({ message, hint }: NonNullable<MakerMessage>): FailedError {
  return new FailedError("failed/database", message, hint === null ? {} : { hint });
}

function lostThread(found: string, cause?: unknown): FailedError {
  return new FailedError("failed/database", `Cannot make the database in a thread: ${found}`, {
    hint: "Close other programs if memory is short, and start again.",
    cause,
  });
}
