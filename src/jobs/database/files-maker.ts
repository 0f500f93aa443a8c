/** @file The process that makes the files of a database in a folder, and reports the result. */
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

const [folder] = process.argv.slice(2);
if (process.send !== undefined && folder !== undefined) process.send(await make(folder));
