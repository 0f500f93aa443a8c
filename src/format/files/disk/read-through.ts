/** @file Reads a file from start to end, piece by piece. */
import { toFailedRead } from "../../../messages/system-error.ts";
import { disk } from "./calls.ts";

const PIECE_BYTES = 1 << 20;

/** Reads a file; a piece is valid only during the call of `onPiece`. @throws FormatError format/file when the disk fails */
export async function readThrough(
  path: string,
  onPiece: (piece: Uint8Array) => void,
  signal?: AbortSignal,
): Promise<void> {
  const step = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw toFailedRead(error, path);
    }
  };
  const handle = await step(() => disk().open(path, "r"));
  try {
    const piece = new Uint8Array(PIECE_BYTES);
    for (let numBytes = -1; numBytes !== 0;) {
      signal?.throwIfAborted();
      ({ bytesRead: numBytes } = await step(() => handle.read(piece, 0, piece.length)));
      onPiece(piece.subarray(0, numBytes));
    }
  } finally {
    await handle.close();
  }
}
