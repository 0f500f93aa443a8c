/** @file What is put into a store. */
import { hashBytes } from "../../data/files/data-content.ts";

/** The bytes of an object, of which a store is told length and hash first; they are read anew at each try. */
export interface StoredContent {
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly pieces: () => AsyncIterable<Uint8Array>;
}

/** What is put of bytes in memory. */
export function contentOf(bytes: Uint8Array): StoredContent {
  return {
    sizeBytes: bytes.length,
    sha256: hashBytes(bytes),
    pieces: async function* () {
      yield bytes;
    },
  };
}
