/** @file Writes bytes to an open file, all of them. */
import type { FileHandle } from "node:fs/promises";

/** Writes all of `bytes` at offset `start` of the file, by default at its current position. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, start?: number): Promise<void> {
  // One call may write less than asked, as when the disk runs full or the piece exceeds 2 GiB; the next call then fails or goes on.
  for (let done = 0; done < bytes.length;) {
    const piece = bytes.subarray(done, done + (1 << 30));
    const position = start === undefined ? null : start + done;
    done += (await handle.write(piece, 0, piece.length, position)).bytesWritten;
  }
}
