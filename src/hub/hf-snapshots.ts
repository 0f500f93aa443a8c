/** @file Entries of the cache of Hugging Face's tools: snapshots/COMMIT, and refs/BRANCH, which names the commit of a branch. */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export const MAIN = "main";

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
