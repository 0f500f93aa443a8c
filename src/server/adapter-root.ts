/** @file The folder from which clients may load adapters: what lies outside is none of theirs, links included. */
import { realpath } from "node:fs/promises";
import { resolve, sep } from "node:path";
import { ApiError } from "./api-error.ts";

/** Makes the function that finds what a client names inside of a folder. */
export function adaptersUnder(root: string): (path: string) => Promise<string> {
  return async (path) => {
    const whole = await realpath(root);
    const found = await realpath(resolve(whole, path)).catch(() => null);
    if (found !== null && (found === whole || found.startsWith(whole + sep))) return found;
    throw new ApiError(404, `There is no adapter "${path}" in the folder of adapters`, {
      code: "adapter_not_found",
      param: "lora_path",
    });
  };
}
