/** @file Checksums of model files: SHA-256 for large files, git's SHA-1 of a blob for the small ones of a repository. */
import { createHash } from "node:crypto";

import { readThrough } from "../../format/files/disk/read-through.ts";

/** An expected checksum, in lower-case hexadecimal. */
export interface Digest {
  readonly algorithm: "sha256" | "git-sha1";
  readonly hex: string;
}

/** Computes the checksum of a file of `sizeBytes` bytes, as hexadecimal. */
export async function hashFile(
  path: string,
  algorithm: Digest["algorithm"],
  sizeBytes: number,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash(algorithm === "sha256" ? "sha256" : "sha1");
  if (algorithm === "git-sha1") hash.update(`blob ${sizeBytes}\0`);
  await readThrough(path, (piece) => void hash.update(piece), signal);
  return hash.digest("hex");
}
