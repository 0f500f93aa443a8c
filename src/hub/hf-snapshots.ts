/** @file Entries of the cache of Hugging Face's tools: snapshots/COMMIT, and refs/BRANCH, which contains the commit of a branch. */
import { join } from "node:path";
import { disk } from "../format/files/disk/calls.ts";
import { namesIn } from "../format/files/disk/names-in.ts";

export const MAIN = "main";
/** Least number of digits of an abbreviated commit. */
const SHORT_COMMIT = 7;

async function readRef(entry: string, revision: string): Promise<string | null> {
  if (revision.split("/").includes("..")) return null;
  try {
    return (await disk().readFile(join(entry, "refs", ...revision.split("/")), "utf8")).trim();
  } catch {
    return null;
  }
}

/** Finds the snapshot of a revision in an entry `models--OWNER--NAME`: a branch, a tag, a commit or the beginning of one. */
export async function findSnapshot(entry: string, revision: string | null): Promise<string | null> {
  const snapshots = join(entry, "snapshots");
  const commits = await namesIn(snapshots);
  const commit = (await readRef(entry, revision ?? MAIN)) ?? revision;
  const isMeant = (name: string): boolean =>
    name === commit || (commit !== null && commit.length >= SHORT_COMMIT && name.startsWith(commit));
  // Without a branch main, the entry may have been fetched by a commit: the only snapshot is taken.
  const [found, ...others] = commit === null ? commits : commits.filter(isMeant);
  return found !== undefined && others.length === 0 ? join(snapshots, found) : null;
}
