/** @file The folder from which clients may load adapters. Paths and links that lead out of it are refused. */
import { dirname, join, relative, resolve, sep } from "node:path";
import { UsageError } from "../errors.ts";
import { describeNames } from "../format/contents.ts";
import { disk } from "../format/files/disk/calls.ts";
import { namesIn } from "../format/files/disk/names-in.ts";
import { orNearest } from "../messages/nearest.ts";
import { describeFileProblem } from "../messages/system-error.ts";
import { ApiError } from "./api-error.ts";

/** Checks the folder on the disk before anything is loaded. @throws UsageError "usage/flag" */
export async function requireRoot(root: string): Promise<void> {
  const found = await disk()
    .stat(root)
    .then(
      (entry) => (entry.isDirectory() ? null : "it is a file"),
      (error: unknown) => describeFileProblem(error),
    );
  if (found === null) return;
  throw new UsageError("usage/flag", `Cannot load adapters from "${root}": ${found}, expected a folder`, {
    hint: "Give --adapter-root a folder that contains adapter folders.",
  });
}

export class AdapterRoot {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Finds the folder at a path that a client gives; `param`: the key of the request with the path. @throws ApiError 404 */
  async find(path: string, param: string): Promise<string> {
    const found = await this.#inside(path);
    if (found !== null) return found;
    const known = orNearest(path, await this.namesBeside(path));
    throw new ApiError(
      404,
      "adapter_not_found",
      `There is no adapter "${path}" in the adapter folder${known}`,
      { param },
    );
  }

  /** Finds the adapter whose folder, relative to this one, is exactly `name`; null: there is none. */
  async findNamed(name: string): Promise<string | null> {
    const isName = name !== "" && relative(this.#root, resolve(this.#root, name)) === name;
    const found = isName ? await this.#inside(name) : null;
    if (found === null) return null;
    const { kind } = describeNames(found, await namesIn(found));
    return kind === "adapter" ? found : null;
  }

  /** Paths of all other entries of the folder that contains a path; empty if that folder is not inside this one. */
  async namesBeside(path: string): Promise<string[]> {
    const parent = await this.#inside(dirname(path));
    const names = parent === null ? [] : await namesIn(parent);
    return names.map((name) => join(dirname(path), name)).filter((other) => other !== path);
  }

  /** Resolves a path; null: it does not exist or leads out of the folder. */
  async #inside(path: string): Promise<string | null> {
    const root = await disk().realpath(this.#root);
    const found = await disk()
      .realpath(resolve(root, path))
      .catch(() => null);
    return found !== null && (found === root || found.startsWith(root + sep)) ? found : null;
  }
}
