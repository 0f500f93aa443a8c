/** @file Extraction of one file from a zip archive, with its checksum, without reading the archive into memory. */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { Readable } from "node:stream";

import { open, type ZipFile } from "yauzl";

import { FailedError } from "../../errors.ts";
import { writePieces } from "./download.ts";

function openArchive(archive: string): Promise<ZipFile> {
  return new Promise((resolve, reject) => {
    open(archive, { lazyEntries: true, autoClose: false }, (error, zip) =>
      error === null ? resolve(zip) : reject(error),
    );
  });
}

/** Opens the content of the entry called `name`; `null` when the archive has none. */
function openEntry(zip: ZipFile, name: string): Promise<Readable | null> {
  return new Promise((resolve, reject) => {
    zip.on("error", reject);
    zip.on("end", () => resolve(null));
    zip.on("entry", (entry) => {
      if (entry.fileName !== name) return zip.readEntry();
      zip.openReadStream(entry, (error, stream) => (error === null ? resolve(stream) : reject(error)));
    });
    zip.readEntry();
  });
}

/** Converts the error of an archive that cannot be read; errors of the disk stay as they are. */
function damaged(archive: string, error: unknown): unknown {
  if (!(error instanceof Error) || error.name === "AbortError" || "syscall" in error) return error;
  return new FailedError(
    "source/corrupt",
    `Cannot unpack "${basename(archive)}": ${error.message}, expected a whole zip archive`,
    {
      hint: "Clear pip's cache (pip cache purge) and pull again, or use another package index.",
      cause: error,
    },
  );
}

interface ArchiveEntry {
  readonly name: string;
  /** The largest allowed size. */
  readonly sizeBytes: number;
}

/**
 * Writes an entry of a zip archive to `path` and returns its SHA-256 in hexadecimal; `null` when there is no such entry.
 * @throws FailedError "source/corrupt" when the archive is damaged.
 */
export async function extractFile(
  archive: string,
  { name, sizeBytes }: ArchiveEntry,
  path: string,
  signal: AbortSignal,
): Promise<string | null> {
  const hash = createHash("sha256");
  let numBytes = 0;
  const tap = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      signal.throwIfAborted();
      numBytes += chunk.length;
      // Checked before the bytes fill the disk: a small archive may expand to any size.
      if (numBytes > sizeBytes) throw new Error(`more than ${sizeBytes} bytes in "${name}"`);
      hash.update(chunk);
      yield chunk;
    }
  };
  try {
    const zip = await openArchive(archive);
    try {
      const stream = await openEntry(zip, name);
      if (stream === null) return null;
      await writePieces(path, "w", tap(stream));
      return hash.digest("hex");
    } finally {
      zip.close();
    }
  } catch (error) {
    throw damaged(archive, error);
  }
}
