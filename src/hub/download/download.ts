/**
 * @file Downloads one file of known size: resumes, checks, and gives it the final name only when it is whole.
 *
 * Bytes go to `PATH.<checksum>.part`, so that a changed file never continues an old one.
 */
import { basename, dirname } from "node:path";

import { FailedError } from "../../errors.ts";
import { syncFolder } from "../../format/files/atomic.ts";
import { writeAll } from "../../format/files/disk/write-all.ts";
import { disk, tryStat } from "../../format/files/disk/calls.ts";
import { hashFile, type Digest } from "../remote/digest.ts";
import { fetchReason, Watchdog } from "../remote/reach.ts";
import { type SourceContext, UnreachableError } from "../source.ts";

interface RemoteFile {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly sizeBytes: number;
  /** `null` when the source gives no checksum; then only the size is checked. */
  readonly digest: Digest | null;
}

interface DownloadOptions extends Pick<SourceContext, "signal" | "timeoutMs" | "startTimer"> {
  readonly onBytes: (receivedBytes: number) => void;
}

/** Connections that may break, each after some progress, before the source counts as unreachable. */
const MAX_BROKEN_CONNECTIONS = 5;

const sizeOf = async (path: string): Promise<number | null> => (await tryStat(path))?.size ?? null;

/** Whether the file at `path` has the expected size and checksum. */
async function isWhole(path: string, file: RemoteFile): Promise<boolean> {
  if ((await sizeOf(path)) !== file.sizeBytes) return false;
  if (file.digest === null) return true;
  return (await hashFile(path, file.digest.algorithm, file.sizeBytes)) === file.digest.hex;
}

/** Writes pieces to a file as they come: overwrites it, or appends. */
export async function writePieces(
  path: string,
  flags: "a" | "w",
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const handle = await disk().open(path, flags);
  try {
    for await (const piece of pieces) await writeAll(handle, piece);
  } finally {
    await handle.close();
  }
}

/**
 * Gives a file its final name after syncing its bytes to the disk: after a power cut the named file might otherwise be
 * incomplete.
 */
export async function publish(part: string, path: string): Promise<void> {
  const handle = await disk().open(part, "r+");
  await handle.sync().finally(() => handle.close());
  await disk().rename(part, path);
  await syncFolder(dirname(path));
}

/** Appends what is missing to `part` over one connection; if the server ignores the range, starts from the beginning. */
async function fetchInto(part: string, file: RemoteFile, options: DownloadOptions): Promise<void> {
  const offset = (await sizeOf(part)) ?? 0;
  using watchdog = new Watchdog(options);
  const response = await fetch(file.url, {
    // A compressed answer could not be resumed, since its offsets differ from those of the file.
    headers: {
      ...file.headers,
      "accept-encoding": "identity",
      ...(offset > 0 ? { range: `bytes=${offset}-` } : {}),
    },
    signal: AbortSignal.any([options.signal, watchdog.signal]),
  });
  if (response.status === 416) await disk().rm(part, { force: true });
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new UnreachableError(`HTTP ${response.status} for ${file.url}`);
  }
  const isAppending =
    response.status === 206 && (response.headers.get("content-range") ?? "").startsWith(`bytes ${offset}-`);
  let received = isAppending ? offset : 0;
  const count = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      watchdog.feed(chunk.length);
      received += chunk.length;
      if (received > file.sizeBytes) throw new UnreachableError(`more than ${file.sizeBytes} bytes arrived`);
      options.onBytes(received);
      yield chunk;
    }
  };
  await writePieces(part, isAppending ? "a" : "w", count(response.body));
}

/** Fetches until `part` has all bytes, over several connections as long as each makes progress. */
async function fetchAll(part: string, file: RemoteFile, options: DownloadOptions): Promise<void> {
  if (file.sizeBytes === 0) await writePieces(part, "w", []);
  let numBroken = 0;
  while ((await sizeOf(part)) !== file.sizeBytes) {
    const before = (await sizeOf(part)) ?? 0;
    if (before > file.sizeBytes) await disk().rm(part);
    try {
      await fetchInto(part, file, options);
    } catch (error) {
      options.signal.throwIfAborted();
      const after = (await sizeOf(part)) ?? 0;
      numBroken++;
      // A part that shrank could not be resumed; the next connection starts at zero.
      if (after === before || numBroken >= MAX_BROKEN_CONNECTIONS) throw fetchReason(error);
      continue;
    }
    if (((await sizeOf(part)) ?? 0) >= file.sizeBytes) continue;
    numBroken++;
    if (numBroken >= MAX_BROKEN_CONNECTIONS) {
      throw new UnreachableError("the connection closed early, repeatedly");
    }
  }
}

/**
 * Downloads `file` to `path`, continuing where an earlier call stopped; a whole file that is already there is left alone.
 * @throws UnreachableError when the bytes do not come; FailedError "source/corrupt" when they are wrong.
 */
export async function download(path: string, file: RemoteFile, options: DownloadOptions): Promise<void> {
  if (await isWhole(path, file)) return;
  const part = `${path}.${file.digest?.hex.slice(0, 12) ?? file.sizeBytes}.part`;
  const wasResumed = (await sizeOf(part)) !== null;
  await fetchAll(part, file, options);
  let isGood = await isWhole(part, file);
  if (!isGood && wasResumed) {
    // The earlier bytes may be wrong, not the server's.
    await disk().rm(part, { force: true });
    await fetchAll(part, file, options);
    isGood = await isWhole(part, file);
  }
  if (!isGood) {
    await disk().rm(part, { force: true });
    throw new FailedError(
      "source/corrupt",
      `Cannot accept file "${basename(path)}" from ${file.url}: its checksum differs, expected ${file.digest?.hex}`,
      { hint: "Pull again; if it happens again, the server or a proxy is altering the file." },
    );
  }
  // A damaged file may have been replaced by a folder.
  await disk().rm(path, { recursive: true, force: true });
  await publish(part, path);
}
