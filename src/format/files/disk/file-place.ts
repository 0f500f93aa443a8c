/** @file Checks, before long work, that the file of its result can be written. */
import { dirname } from "node:path";
import { UsageError } from "../../../errors.ts";
import { toFailedWrite } from "../../../messages/system-error.ts";
import { disk } from "./calls.ts";
import { makeFolders, removeFolders } from "./make-folders.ts";
import { temporaryName } from "./temporaries.ts";

/**
 * Checks that a file can be made or replaced, and leaves nothing behind.
 * @throws UsageError "usage/output" for a folder or a device, in whose place a rename would put the file; FailedError failed/write
 */
export async function requireFilePlace(path: string): Promise<void> {
  const info = await disk()
    .stat(path)
    .catch(() => null);
  if (info !== null && !info.isFile()) {
    const found = info.isDirectory() ? "a folder" : "no file but a device or pipe";
    throw new UsageError(
      "usage/output",
      `Cannot write to output "${path}": it is ${found}, expected a file`,
      {
        hint: "Choose another name; without an output texts go to standard output.",
      },
    );
  }
  const temporary = temporaryName(path);
  try {
    const made = await makeFolders(dirname(path));
    try {
      await (await disk().open(temporary, "wx")).close();
      await disk().rm(temporary);
    } finally {
      await removeFolders(made);
    }
  } catch (error) {
    throw toFailedWrite(error, path);
  }
}
