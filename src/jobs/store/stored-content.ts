/** @file What is put into a store, and what is read from it again. */
import type { z } from "zod";
import { hashBytes } from "../../data/files/data-content.ts";
import { FailedError } from "../../errors.ts";

/** The bytes of an object, of which a store is told length and hash first; they are read anew at each try. */
export interface StoredContent {
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly pieces: () => AsyncIterable<Uint8Array>;
}

export function storedBytes(bytes: Uint8Array): StoredContent {
  return {
    sizeBytes: bytes.length,
    sha256: hashBytes(bytes),
    pieces: async function* () {
      yield bytes;
    },
  };
}

export function storedText(text: string): StoredContent {
  return storedBytes(new TextEncoder().encode(text));
}

/** Reads JSON of the object with a key. @throws FailedError "failed/store" where it is none, or not what `kind` says */
export function parseStored<T>(bytes: Uint8Array, key: string, kind: z.ZodType<T>): T {
  try {
    return kind.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    throw damaged(key);
  }
}

/** What the store gives for a key that is not what was put there. */
export function damaged(key: string): FailedError {
  return new FailedError(
    "failed/store",
    `Cannot read "${key}" of the store: it is not what was stored there`,
    {
      hint: "Check that nothing else writes to the store or deletes from it.",
    },
  );
}
