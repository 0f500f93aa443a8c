/** @file The entries of a run's folder, without its lock and temporary files. */
import { UsageError } from "../../../errors.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { isLock } from "../../../format/files/disk/folder-lock.ts";
import { isTemporary } from "../../../format/files/disk/temporaries.ts";
import { systemCode, toFailedWrite } from "../../../messages/system-error.ts";

/** Lists the names in a folder; none when it does not exist. @throws UsageError "usage/output" when it is no folder */
export async function entriesOf(folder: string): Promise<string[]> {
  try {
    const names = await disk().readdir(folder);
    return names.filter((name) => !isLock(name) && !isTemporary(name));
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT") return [];
    if (code !== "ENOTDIR") throw toFailedWrite(error, folder);
    throw new UsageError(
      "usage/output",
      `Cannot write to output "${folder}": it is a file or is inside one, expected an empty or new folder`,
      { hint: "Choose another folder." },
    );
  }
}

/** Removes a file, or a folder with its content. @throws FailedError "failed/write" */
export async function removeEntry(path: string): Promise<void> {
  try {
    await disk().rm(path, { recursive: true });
  } catch (error) {
    throw toFailedWrite(error, path);
  }
}
