/** @file Checks before long work that its result can be written to a file. */
import { dirname } from "node:path";
import { UsageError } from "../../../errors.ts";
import { toFailedWrite } from "../../../messages/system-error.ts";
import { disk, tryStat } from "./calls.ts";
import { makeFolders, removeFolders } from "./make-folders.ts";
import { temporaryName } from "./temporaries.ts";

/**
 * Checks that a file can be made or replaced, and leaves nothing behind. `input`: the file that is read; null for none.
 * @throws UsageError "usage/output" for the input, for a folder, and for a device, which a rename would replace; FailedError
 * failed/write
 */
export async function requireFilePlace(path: string, input: string | null): Promise<void> {
  const [info, read] = [await tryStat(path), input === null ? null : await tryStat(input)];
  const isInput = info !== null && info.ino === read?.ino && info.dev === read.dev;
  if (info !== null && (isInput || !info.isFile())) {
    const other = info.isDirectory() ? "a folder" : "not a file but a device or pipe";
    const found = isInput ? "what is read" : other;
    throw new UsageError(
      "usage/output",
      `Cannot write to output "${path}": it is ${found}, expected ${isInput ? "another" : "a"} file`,
      {
        hint: isInput ? "Choose another name." : "Choose another name, or move the existing file away.",
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
