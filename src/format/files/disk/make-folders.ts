/** @file Makes a folder and its parents. Node's own recursive `mkdir` never ends below /proc, where nothing can be made. */
import { rmdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { systemCode } from "../../../messages/system-error.ts";
import { disk } from "./calls.ts";

/** Makes the missing folders of a path; returns those that were made, the deepest first. */
export async function makeFolders(path: string): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let folder = resolve(path); !(await isThere(folder)); folder = dirname(folder)) missing.push(folder);
  const made: string[] = [];
  try {
    for (const folder of missing.reverse()) {
      if (await makeOne(folder)) made.unshift(folder);
    }
  } catch (error) {
    await removeFolders(made);
    throw error;
  }
  return made;
}

/** Makes a folder; false when another process was faster. */
async function makeOne(path: string): Promise<boolean> {
  try {
    await disk().mkdir(path);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST" && (await isThere(path))) return false;
    throw error;
  }
}

/** Removes those folders that are empty; they are given deepest first. */
export async function removeFolders(folders: readonly string[]): Promise<void> {
  for (const folder of folders)
    await disk()
      .rmdir(folder)
      .catch(() => {});
}

/** Does the same synchronously, for a process that exits. */
export function removeFoldersNow(folders: readonly string[]): void {
  for (const folder of folders) {
    try {
      rmdirSync(folder);
    } catch {
      return;
    }
  }
}

/** Whether a folder exists. @throws a system error when a file is in its place or in that of a parent */
async function isThere(path: string): Promise<boolean> {
  try {
    if ((await disk().stat(path)).isDirectory()) return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT" && dirname(path) !== path) return false;
    throw error;
  }
  throw Object.assign(new Error("a file is in the way"), { code: "EEXIST", syscall: "mkdir" });
}
