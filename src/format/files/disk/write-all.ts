/** @file Bytes to an open file, all of them. */
import type { FileHandle } from "node:fs/promises";

/** Writes all of some bytes from `start` on, or at the place where an open file stands. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, start?: number): Promise<void> {
  // One call writes less than asked when the disk runs full or the piece exceeds 2 GiB; the next call says why.
  for (let done = 0; done < bytes.length;) {
    const piece = bytes.subarray(done, done + (1 << 30));
    const position = start === undefined ? null : start + done;
    done += (await handle.write(piece, 0, piece.length, position)).bytesWritten;
  }
}
