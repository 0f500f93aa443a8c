/** @file Reads a file piece by piece, so that a large file does not need as much memory. */
import type { ByteSource } from "./byte-source.ts";

const PIECE_BYTES = 1 << 22;

/** Reads a file up to offset `end`, by default all of it. @throws as the source */
export async function* piecesOf(
  source: ByteSource,
  end = source.sizeBytes,
): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < end; at += PIECE_BYTES) yield await source.read(at, Math.min(PIECE_BYTES, end - at));
}
