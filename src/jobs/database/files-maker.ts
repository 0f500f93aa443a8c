/** @file The thread that makes the files of a database in a folder, and tells how it went. */
import { parentPort, workerData } from "node:worker_threads";
import { FailedError } from "../../errors.ts";
import type { MakerMessage } from "./make-files.ts";
import { makeOnce } from "./pglite.ts";

async function make(folder: string): Promise<MakerMessage> {
  try {
    await makeOnce(folder);
    return null;
  } catch (error) {
    if (!(error instanceof FailedError)) throw error;
    const { message, hint } = error;
    return { message, hint };
  }
}

if (parentPort !== null) parentPort.postMessage(await make(workerData as string), []);
