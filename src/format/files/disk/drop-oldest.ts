/** @file Keeps a folder of files that can be made again within a limit of bytes. */
import { join } from "node:path";
import { disk, tryStat } from "./calls.ts";

/** Removes files with an ending until the rest have at most `limitBytes`: those modified least recently go first. */
export async function dropOldest(folder: string, ending: string, limitBytes: number): Promise<void> {
  const files = await Promise.all(
    (await disk().readdir(folder)).map(async (name) => {
      const path = join(folder, name);
      const info = await tryStat(path);
      return { path, name, size: info?.size ?? 0, usedMs: info?.mtimeMs ?? 0 };
    }),
  );
  let total = 0;
  for (const { path, name, size } of files.toSorted((a, b) => b.usedMs - a.usedMs)) {
    if (!name.endsWith(ending)) continue;
    total += size;
    if (total > limitBytes) await disk().rm(path, { force: true });
  }
}
