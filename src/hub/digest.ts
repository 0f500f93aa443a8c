/** @file Checksums of model files: SHA-256 for large files, git's SHA-1 of a blob for the small ones of a repository. */
import { createHash } from "node:crypto";

import { disk } from "../format/files/disk/calls.ts";

/** An expected checksum, lower-case hexadecimal. */
export interface Digest {
  readonly algorithm: "sha256" | "git-sha1";
  readonly hex: string;
}

const PIECE_BYTES = 1 << 20;

/** Computes the checksum of a file of `sizeBytes` bytes, as hexadecimal. */
export async function hashFile(
  path: string,
  algorithm: Digest["algorithm"],
  sizeBytes: number,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash(algorithm === "sha256" ? "sha256" : "sha1");
  if (algorithm === "git-sha1") hash.update(`blob ${sizeBytes}\0`);
  const handle = await disk().open(path, "r");
  try {
    const piece = new Uint8Array(PIECE_BYTES);
    for (let numBytes = -1; numBytes !== 0;) {
      signal?.throwIfAborted();
      ({ bytesRead: numBytes } = await handle.read(piece, 0, piece.length));
      hash.update(piece.subarray(0, numBytes));
    }
  } finally {
    await handle.close();
  }
  return hash.digest("hex");
}
