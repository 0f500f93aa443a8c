/** @file The bytes of a file one piece after another, so that a large one takes no memory of its size. */
import type { ByteSource } from "./byte-source.ts";

const PIECE_BYTES = 1 << 22;

/** Reads a file up to a byte, the end of it unless given. @throws as the source */
export async function* piecesOf(
  source: ByteSource,
  end = source.sizeBytes,
): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < end; at += PIECE_BYTES) yield await source.read(at, Math.min(PIECE_BYTES, end - at));
}
