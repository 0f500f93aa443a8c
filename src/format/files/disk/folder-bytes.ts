/** @file How much lies below a folder. */
import { join } from "node:path";
import { disk } from "./calls.ts";

/** Sums the sizes of all files below a folder, also those that links lead to; what vanishes meanwhile counts as nothing. */
export async function folderBytes(folder: string): Promise<number> {
  const { readdir, stat } = disk();
  let total = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => null);
    if (found?.isFile()) total += found.size;
  }
  return total;
}
