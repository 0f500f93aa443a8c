/** @file How files of data may be compressed. Adding one: an entry here, and its ending in `file-kinds`. */
import * as zlib from "node:zlib";
import { maxDecompressedBytes } from "../../untrusted/limits.ts";
import { decompressZst } from "./zstd.ts";

/** A way of compressing a file. */
interface Compression {
  readonly ending: string;
  decompress(bytes: Uint8Array): Uint8Array;
}

/** Files of little that would become all memory are refused. */
function limitOf({ length }: Uint8Array): { maxOutputLength: number } {
  return { maxOutputLength: maxDecompressedBytes(length) };
}

export const COMPRESSIONS: readonly Compression[] = [
  { ending: ".gz", decompress: (bytes) => zlib.gunzipSync(bytes, limitOf(bytes)) },
  {
    ending: ".zst",
    // Node has it from 22.15 on.
    decompress: (bytes) =>
      typeof zlib.zstdDecompressSync === "function"
        ? zlib.zstdDecompressSync(bytes, limitOf(bytes))
        : decompressZst(bytes, maxDecompressedBytes(bytes.length)),
  },
];
