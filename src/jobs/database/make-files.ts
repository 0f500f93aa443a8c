/**
 * @file Makes the files of a database in a separate process. It computes for seconds without a pause; this way the caller can
 * handle signals meanwhile and stop it. (Stopping a thread inside WebAssembly can end the whole process.) The files are moved
 * into place only when all are made, so that no other start finds half of them.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { dirname } from "node:path";
import { FailedError } from "../../errors.ts";
import { disk, tryRemove } from "../../format/files/disk/calls.ts";
import { makeFolders } from "../../format/files/disk/make-folders.ts";
import { sweepTemporaries, temporaryName } from "../../format/files/disk/temporaries.ts";

/** The process's result: null for success, or the reason for a failure. */
export type MakerMessage = { readonly message: string; readonly hint: string | null } | null;

/** The program of the process, in the sources or in the package. */
const MAKER = new URL(
  import.meta.url.endsWith(".ts") ? "./files-maker.ts" : "./files-maker.js",
  import.meta.url,
);

/**
 * Makes the files of a database in a folder, which is empty or missing. @throws FailedError "failed/database"; the reason of
 * `signal`
 */
export async function makeFiles(folder: string, signal?: AbortSignal): Promise<void> {
  await sweepTemporaries(dirname(folder));
  const unfinished = temporaryName(folder);
  try {
    await makeFolders(unfinished);
    await runMaker(unfinished, signal);
    await disk().rm(folder, { recursive: true, force: true });
    await disk().rename(unfinished, folder);
  } catch (error) {
    await tryRemove(unfinished);
    throw error;
  }
}

async function runMaker(folder: string, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  // In its own process group, so that only the caller receives Ctrl-C.
  const maker = fork(MAKER, [folder], {
    detached: true,
    execArgv: [],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const over = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as Error), { signal: over.signal });
      maker.on("message", (told: MakerMessage) => (told === null ? resolve() : reject(toError(told))));
      maker.on("error", (cause) => reject(lostMaker(cause.message, cause)));
      maker.on("exit", (code, name) => reject(lostMaker(`it ended with ${name ?? code}`)));
    });
  } finally {
    over.abort();
    await end(maker);
  }
}

/** Kills the process, and waits until it has ended and writes no more. */
async function end(maker: ChildProcess): Promise<void> {
  if (maker.pid === undefined || maker.exitCode !== null || maker.signalCode !== null) return;
  const ended = once(maker, "exit");
  maker.kill("SIGKILL");
  await ended;
}

function toError({ message, hint }: NonNullable<MakerMessage>): FailedError {
  return new FailedError("failed/database", message, hint === null ? {} : { hint });
}

function lostMaker(found: string, cause?: unknown): FailedError {
  return new FailedError("failed/database", `Cannot create the database in a separate process: ${found}`, {
    hint: "Close other programs if memory is short, and start again.",
    cause,
  });
}
