/** @file The size of everything in a folder. */
import { join } from "node:path";
import { disk } from "./calls.ts";

/** Sums the sizes of all files below a folder, and of files that links there point to; files that vanish meanwhile count as 0. */
export async function folderBytes(folder: string): Promise<number> {
  const { readdir, stat } = disk();
  let total = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => null);
    if (found?.isFile()) total += found.size;
  }
  return total;
}
