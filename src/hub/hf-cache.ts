/**
 * @file Source: the cache of Hugging Face's own tools, read in place and never written.
 *
 * `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `~/.cache/huggingface/hub`, with models--OWNER--NAME/snapshots/COMMIT in it, and
 * refs/BRANCH beside, which names the commit of a branch.
 */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import type { Environment } from "../environment.ts";
import { modelInFolder } from "./cache.ts";
import { expandHome } from "./model-name.ts";
import { unreachable, type Source } from "./source.ts";

const MAIN = "main";

/** Folder in which Hugging Face's tools keep what they fetched. */
function hubCacheOf(env: Environment): string {
  const given = env["HF_HUB_CACHE"] || env["HUGGINGFACE_HUB_CACHE"];
  if (given) return expandHome(given, env);
  const xdg = env["XDG_CACHE_HOME"] || join(env["HOME"] ?? homedir(), ".cache");
  return join(expandHome(env["HF_HOME"] || join(xdg, "huggingface"), env), "hub");
}

async function readRef(entry: string, revision: string): Promise<string | null> {
  if (revision.split("/").includes("..")) return null;
  try {
    return (await readFile(join(entry, "refs", ...revision.split("/")), "utf8")).trim();
  } catch {
    return null;
  }
}

/** Finds the snapshot of a revision in an entry `models--OWNER--NAME`: a branch, a tag, a commit or the beginning of one. */
export async function findSnapshot(entry: string, revision: string | null): Promise<string | null> {
  const snapshots = join(entry, "snapshots");
  if (!existsSync(snapshots)) return null;
  const commits = await readdir(snapshots);
  const commit = (await readRef(entry, revision ?? MAIN)) ?? revision;
  if (commit !== null) {
    const found = commits.filter(
      (name) => name === commit || (commit.length >= 7 && name.startsWith(commit)),
    );
    return found.length === 1 ? join(snapshots, found[0] ?? "") : null;
  }
  // Without a branch called main, what was fetched by its commit alone.
  return commits.length === 1 ? join(snapshots, commits[0] ?? "") : null;
}

/** Finds models that transformers, huggingface_hub and others fetched. */
export const hfCache: Source = {
  name: "Hugging Face cache",
  async find(model, context) {
    if (model.repository === null) return null;
    const entry = join(hubCacheOf(context.env), `models--${model.repository.replaceAll("/", "--")}`);
    if (!existsSync(entry)) return unreachable(`nothing at ${entry}`);
    const snapshot = await findSnapshot(entry, model.revision);
    if (snapshot === null) return unreachable(`${entry} has no snapshot of ${model.revision ?? MAIN}`);
    const found = await modelInFolder(snapshot);
    return "path" in found ? { kind: "found", path: found.path } : unreachable(found.problem);
  },
};
