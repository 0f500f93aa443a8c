/** @file The folder from which clients may load adapters: what lies outside is none of theirs, links included. */
import { readdir, realpath, stat } from "node:fs/promises";
import { resolve, sep } from "node:path";
import { UsageError } from "../errors.ts";
import { nearest } from "../messages/nearest.ts";
import { describeFileProblem } from "../messages/system-error.ts";
import { ApiError } from "./api-error.ts";

/** Holds the folder against the disk before anything is loaded. @throws UsageError "usage/flag" */
export async function requireRoot(root: string): Promise<void> {
  const found = await stat(root).then(
    (entry) => (entry.isDirectory() ? null : "it is a file"),
    (error: unknown) => describeFileProblem(error),
  );
  if (found === null) return;
  throw new UsageError("usage/flag", `Cannot load adapters from "${root}": ${found}, expected a folder`, {
    hint: "Give --adapter-root a folder with those of adapters in it.",
  });
}

/** Makes the function that finds what a client names inside of a folder. */
export function adaptersUnder(root: string): (path: string) => Promise<string> {
  return async (path) => {
    const whole = await realpath(root);
    const found = await realpath(resolve(whole, path)).catch(() => null);
    if (found !== null && (found === whole || found.startsWith(whole + sep))) return found;
    const alike = nearest(path, await readdir(whole).catch(() => []));
    const known = alike === null ? "" : `: did you mean "${alike}"?`;
    throw new ApiError(404, `There is no adapter "${path}" in the folder of adapters${known}`, {
      code: "adapter_not_found",
      param: "lora_path",
    });
  };
}
