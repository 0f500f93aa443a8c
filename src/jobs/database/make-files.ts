/**
 * @file Makes the files of a database in a process of its own, since it computes for seconds without a pause: the caller hears signals
 * meanwhile and may stop it. (A thread that is stopped within WebAssembly can end the whole process.) The files have their place when all are
 * made, so that no other start finds half of them.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { dirname } from "node:path";
import { FailedError } from "../../errors.ts";
import { disk, tryRemove } from "../../format/files/disk/calls.ts";
import { makeFolders } from "../../format/files/disk/make-folders.ts";
import { sweepTemporaries, temporaryName } from "../../format/files/disk/temporaries.ts";

/** What the process tells: null, or why it could not. */
export type MakerMessage = { readonly message: string; readonly hint: string | null } | null;

/** The file of the process, in the sources or in the package. */
const MAKER = new URL(
  import.meta.url.endsWith(".ts") ? "./files-maker.ts" : "./files-maker.js",
  import.meta.url,
);

/** Makes the files of a database in a folder, which is empty or not there. @throws FailedError "failed/database"; the reason of `signal` */
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
  // In a group of its own: Ctrl-C is the caller's to hear.
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

/** Ends it, and waits until it writes no more. */
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
