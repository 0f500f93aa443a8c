/** @file SHA-256 of the files that a run reads, by which it recognises them; `known`: hashes of files already read, by path. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { namesBelow } from "../../../data/files/data-folder.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { readThrough } from "../../../format/files/disk/read-through.ts";
import { systemCode, toFailedRead } from "../../../messages/system-error.ts";

/** Hashes a file, or names and contents of the data files in a folder. @throws FormatError "format/file" */
export async function hashData(path: string, known: ReadonlyMap<string, string>): Promise<string> {
  const stats = await disk()
    .stat(path)
    .catch((error: unknown) => {
      throw toFailedRead(error, path);
    });
  if (!stats.isDirectory()) return await hashFile(path, known);
  const names: string[] = [];
  for (const name of namesBelow(path).toSorted()) if (await isFile(join(path, name))) names.push(name);
  return await hashFiles(path, names, known);
}

/** Hashes names and contents of some files of a folder. @throws FormatError "format/file" */
export async function hashFiles(
  folder: string,
  names: readonly string[],
  known: ReadonlyMap<string, string>,
): Promise<string> {
  const hash = createHash("sha256");
  for (const name of names) hash.update(`${name}\0${await hashFile(join(folder, name), known)}\n`);
  return hash.digest("hex");
}

async function hashFile(file: string, known: ReadonlyMap<string, string>): Promise<string> {
  const before = known.get(file);
  if (before !== undefined) return before;
  const hash = createHash("sha256");
  await readThrough(file, (piece) => void hash.update(piece));
  return hash.digest("hex");
}

/** Whether a path is a file; a broken link is not. */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await disk().stat(path)).isFile();
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw toFailedRead(error, path);
  }
}
