/** @file Extraction of one file from a zip archive, with its checksum, without reading the archive into memory. */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { open, type ZipFile } from "yauzl";

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

/**
 * Writes the entry `name` of a zip archive to `path` and returns its SHA-256 in hexadecimal; `null` when there is no such entry.
 * @throws Error when the archive is damaged.
 */
export async function extractFile(
  archive: string,
  name: string,
  path: string,
  signal: AbortSignal,
): Promise<string | null> {
  const zip = await openArchive(archive);
  try {
    const stream = await openEntry(zip, name);
    if (stream === null) return null;
    const hash = createHash("sha256");
    const tap = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        hash.update(chunk);
        yield chunk;
      }
    };
    await pipeline(stream, tap, createWriteStream(path), { signal });
    return hash.digest("hex");
  } finally {
    zip.close();
  }
}
