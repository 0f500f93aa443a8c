/**
 * @file Keeps the units of large data on the disk, under a digest of all that they depend on: bytes, tokenizer, template,
 * options, and graft's own code that makes them.
 *
 * An entry is a line of JSON, then the arrays, then the SHA-256 of both. A damaged entry is removed and made again. The folder
 * has a maximum size; the least recently used entries are removed first.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../format/files/atomic.ts";
import type { ByteSource } from "../../format/files/byte-source.ts";
import { disk, tryRemove } from "../../format/files/disk/calls.ts";
import { dropOldest } from "../../format/files/disk/drop-oldest.ts";
import { unlikeWritten, type Write } from "../../format/files/folder-file.ts";
import { piecesOf } from "../../format/files/pieces.ts";
import type { ReadUnits } from "./read-in-thread.ts";
import type { UnitJob } from "./unit-worker.ts";

/** Maximum size of the cache, in bytes. */
const CACHE_BYTES = 4e9;
/** Maximum size of one entry's arrays: Node could not read 2 GiB or more at once, so the entry would be made again each time. */
const ENTRY_BYTES = 2e9;
const ENDING = ".units";
const DIGEST_BYTES = 32;
const ALIGNMENT_BYTES = 8;

const ARRAYS = { Int32Array, Float32Array, Uint32Array, Uint8Array } as const;

/** The JSON before the arrays. */
interface Header {
  readonly counts: ReadUnits["counts"];
  readonly arrays: readonly {
    readonly piece: number;
    readonly name: string;
    readonly type: keyof typeof ARRAYS;
    readonly length: number;
  }[];
}

/** The name of the entry of a job. */
export function cacheKey({ content, origin, options }: UnitJob): string {
  const { files, now } = origin;
  const day = [now.getFullYear(), now.getMonth(), now.getDate()];
  const parts = {
    code: codeDigest(),
    // The size too: the same file under another name may be decompressed differently.
    content: [content.sha256, content.bytes.length],
    kind: content.kind,
    tokenizer: files,
    // The day matters only to templates that write the date.
    day: JSON.stringify(files).includes("strftime_now") ? day : null,
    options: { ...options, columns: [...(options.columns ?? [])] },
  };
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** Digest of the code of `data/` and of the packages' versions: with other code, rows may become other examples. */
function codeDigest(): string {
  const folder = join(import.meta.dirname, "..");
  const hash = createHash("sha256");
  const names = (readdirSync(folder, { recursive: true }) as string[]).filter((name) =>
    /\.[jt]s$/.test(name),
  );
  for (const name of names.toSorted()) hash.update(name).update(readFileSync(join(folder, name)));
  return hash.update(readFileSync(join(folder, "../../package.json"))).digest("hex");
}

/** Reads an entry; null when there is no intact one. */
export async function readCached(folder: string, key: string): Promise<ReadUnits | null> {
  const path = join(folder, key + ENDING);
  let bytes: Buffer;
  try {
    bytes = await disk().readFile(path);
  } catch {
    return null;
  }
  const units = decode(bytes);
  if (units === null) await tryRemove(path);
  // Records when it was last used.
  else
    await disk()
      .utimes(path, new Date(), new Date())
      .catch(() => {});
  return units;
}

/** Null: the entry is damaged. */
function decode(bytes: Buffer): ReadUnits | null {
  const end = bytes.length - DIGEST_BYTES;
  const headerEnd = bytes.indexOf("\n");
  if (end < 0 || headerEnd < 0) return null;
  if (!createHash("sha256").update(bytes.subarray(0, end)).digest().equals(bytes.subarray(end))) return null;
  const { counts, arrays } = JSON.parse(bytes.toString("utf8", 0, headerEnd)) as Header;
  let at = aligned(headerEnd + 1);
  const packed: Record<string, unknown>[] = [];
  for (const { piece, name, type, length } of arrays) {
    const Kind = ARRAYS[type];
    const numBytes = length * Kind.BYTES_PER_ELEMENT;
    const start = bytes.byteOffset + at;
    // A view, or a copy if the memory does not begin at a multiple of eight.
    (packed[piece] ??= {})[name] =
      start % ALIGNMENT_BYTES === 0
        ? new Kind(bytes.buffer as ArrayBuffer, start, length)
        : new Kind(Uint8Array.from(bytes.subarray(at, at + numBytes)).buffer);
    at = aligned(at + numBytes);
  }
  return { packed: packed as unknown as ReadUnits["packed"], counts };
}

function aligned(at: number): number {
  return Math.ceil(at / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

/**
 * Writes units to the cache, and removes the oldest entries beyond `limitBytes`; units too large for one entry are not kept.
 * Errors of the disk are ignored, since it is only a cache.
 */
export async function writeCached(
  folder: string,
  key: string,
  { packed, counts }: ReadUnits,
  limitBytes: number = CACHE_BYTES,
): Promise<void> {
  const entries = packed.flatMap((arrays, piece) =>
    Object.entries(arrays).map(([name, array]) => ({ piece, name, array: array as Int32Array })),
  );
  const header: Header = {
    counts,
    arrays: entries.map(({ piece, name, array }) => ({
      piece,
      name,
      type: array.constructor.name as keyof typeof ARRAYS,
      length: array.length,
    })),
  };
  const numBytes = entries.reduce((sum, { array }) => sum + array.byteLength, 0);
  if (numBytes > Math.min(limitBytes, ENTRY_BYTES)) return;
  let digest = Buffer.alloc(0);
  const fill = async (write: Write): Promise<void> => {
    digest = await writeEntry(
      write,
      header,
      entries.map(({ array }) => array),
    );
  };
  const check = (file: ByteSource): Promise<void> => requireDigest(file, digest);
  try {
    await writeFileAtomic(join(folder, key + ENDING), { fill, check });
    await dropOldest(folder, ENDING, limitBytes);
  } catch {
    // The next run reads the data again.
  }
}

/** Writes a header, the arrays, each at the next aligned position, and their digest; returns the digest. */
async function writeEntry(
  write: Write,
  header: Header,
  arrays: readonly ArrayBufferView[],
): Promise<Buffer<ArrayBuffer>> {
  const hash = createHash("sha256");
  let at = 0;
  const put = async (bytes: Uint8Array): Promise<void> => {
    hash.update(bytes);
    at += bytes.length;
    await write(bytes);
  };
  await put(new TextEncoder().encode(`${JSON.stringify(header)}\n`));
  for (const { buffer, byteOffset, byteLength } of arrays) {
    await put(new Uint8Array(aligned(at) - at));
    await put(new Uint8Array(buffer, byteOffset, byteLength));
  }
  const digest = hash.digest();
  await write(digest);
  return digest;
}

/** Reads a file that was just written, and checks its digest. @throws as `unlikeWritten` */
async function requireDigest(file: ByteSource, digest: Buffer): Promise<void> {
  const hash = createHash("sha256");
  const end = file.sizeBytes - DIGEST_BYTES;
  for await (const piece of piecesOf(file, end)) hash.update(piece);
  const isWhole = hash.digest().equals(digest) && digest.equals(await file.read(end, DIGEST_BYTES));
  if (!isWhole) throw unlikeWritten(file.path, "other bytes");
}
