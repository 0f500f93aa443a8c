/** @file What is put into a store, and reading it back. */
import type { z } from "zod";
import { hashBytes } from "../../data/files/data-content.ts";
import { FailedError } from "../../errors.ts";

/** The bytes of an object, whose length and hash the store gets first; they are read again at each try. */
export interface StoredContent {
  readonly sizeBytes: number;
  /** In hexadecimal. */
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

/** Parses the JSON of an object. @throws FailedError "failed/store" if it is no JSON or does not match `kind` */
export function parseStored<T>(bytes: Uint8Array, key: string, kind: z.ZodType<T>): T {
  try {
    return kind.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    throw damaged(key);
  }
}

/** The error for an object that differs from what was stored. */
export function damaged(key: string): FailedError {
  return new FailedError(
    "failed/store",
    `Cannot read "${key}" of the store: it is not what was stored there`,
    {
      hint: "Check that nothing else writes to the store or deletes from it.",
    },
  );
}
