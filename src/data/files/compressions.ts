/** @file How files of data are decompressed. Adding a way: its ending in `file-kinds`, and an entry here, which the type asks for. */
import * as zlib from "node:zlib";
import { maxDecompressedBytes } from "../../untrusted/limits.ts";
import type { CompressedEnding } from "../formats/file-kinds.ts";
import { decompressZst } from "./zstd.ts";

/** Files of little that would become all memory are refused. */
function limitOf({ length }: Uint8Array): { maxOutputLength: number } {
  return { maxOutputLength: maxDecompressedBytes(length) };
}

export const DECOMPRESS: Readonly<Record<CompressedEnding, (bytes: Uint8Array) => Uint8Array>> = {
  ".gz": (bytes) => zlib.gunzipSync(bytes, limitOf(bytes)),
  // Node has it from 22.15 on.
  ".zst": (bytes) =>
    typeof zlib.zstdDecompressSync === "function"
      ? zlib.zstdDecompressSync(bytes, limitOf(bytes))
      : decompressZst(bytes, maxDecompressedBytes(bytes.length)),
};
