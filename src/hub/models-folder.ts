/**
 * @file Where models are stored on the disk: each in a folder `OWNER--NAME` or `OWNER--NAME@REVISION`, with either config.json
 * and safetensors files, or one .gguf file.
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import type { Environment } from "../environment.ts";
import { disk } from "../format/files/disk/calls.ts";
import { expandHome } from "./model-name.ts";
import { type Found, type Unreachable, unreachable } from "./source.ts";

/** The folder for caches of programs: `XDG_CACHE_HOME`, otherwise `~/.cache`. */
export function cacheFolderOf(env: Environment): string {
  return env["XDG_CACHE_HOME"] || join(env["HOME"] ?? homedir(), ".cache");
}

/** graft's folder: `GRAFT_HOME`, otherwise `graft` in the folder for caches. */
export function homeFolderOf(env: Environment): string {
  return expandHome(env["GRAFT_HOME"] || join(cacheFolderOf(env), "graft"), env);
}

/** The folder of complete models in it. */
export function modelsFolderOf(env: Environment): string {
  return join(homeFolderOf(env), "models");
}

/** The folder of models of which only the small files were fetched. */
export function outlinesFolderOf(env: Environment): string {
  return join(homeFolderOf(env), "outlines");
}

/** Path of the cache entry of a repository at a revision. */
export function entryFolder(modelsFolder: string, repository: string, revision: string | null): string {
  const suffix = revision === null ? "" : `@${revision.replaceAll("/", "--")}`;
  return join(modelsFolder, repository.replaceAll("/", "--") + suffix);
}

/** Describes shards that an index file lists but the folder lacks; `null` when there are none. */
async function shardProblem(folder: string): Promise<string | null> {
  const indexPath = join(folder, "model.safetensors.index.json");
  if (!existsSync(indexPath)) return null;
  try {
    const index = JSON.parse(await disk().readFile(indexPath, "utf8")) as {
      weight_map: Record<string, string>;
    };
    const shards = [...new Set(Object.values(index.weight_map))];
    const missing = shards.filter((file) => !existsSync(join(folder, file)));
    return missing.length === 0 ? null : `${folder} lacks ${missing.join(", ")}`;
  } catch {
    return `${indexPath} is not an index of shards`;
  }
}

/** Finds the model inside an entry: the folder itself, or its only .gguf file; otherwise says what is wrong. */
export async function modelInFolder(folder: string): Promise<Found | Unreachable> {
  if (!existsSync(folder)) return unreachable(`nothing at ${folder}`);
  const files = await disk().readdir(folder);
  if (files.includes("config.json") && files.some((file) => file.endsWith(".safetensors"))) {
    const problem = await shardProblem(folder);
    return problem === null ? { kind: "found", path: folder } : unreachable(problem);
  }
  const [gguf, ...others] = files.filter((file) => file.endsWith(".gguf"));
  if (gguf !== undefined && others.length === 0) return { kind: "found", path: join(folder, gguf) };
  return unreachable(`${folder} contains neither config.json with *.safetensors nor a single .gguf file`);
}
