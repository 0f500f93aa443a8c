/** @file A file from its first byte to its last, piece by piece. */
import { disk } from "./calls.ts";

const PIECE_BYTES = 1 << 20;

/** Reads a file; a piece is valid during the call that gets it. */
export async function readThrough(
  path: string,
  onPiece: (piece: Uint8Array) => void,
  signal?: AbortSignal,
): Promise<void> {
  const handle = await disk().open(path, "r");
  try {
    const piece = new Uint8Array(PIECE_BYTES);
    for (let numBytes = -1; numBytes !== 0;) {
      signal?.throwIfAborted();
      ({ bytesRead: numBytes } = await handle.read(piece, 0, piece.length));
      onPiece(piece.subarray(0, numBytes));
    }
  } finally {
    await handle.close();
  }
}
