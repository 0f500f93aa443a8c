/** @file How files of data are decompressed. Adding a way: its ending in `file-kinds`, and an entry here, which the type asks for. */
import * as zlib from "node:zlib";
import { maxDecompressedBytes } from "../../untrusted/limits.ts";
import type { CompressedEnding } from "../formats/file-kinds.ts";

/** Files of little that would become all memory are refused. */
function limitOf({ length }: Uint8Array): { maxOutputLength: number } {
  return { maxOutputLength: maxDecompressedBytes(length) };
}

/** Decompresses frames one behind the other, of which Node reads the first alone. */
function unzstd(bytes: Uint8Array, { maxOutputLength: mostBytes }: ReturnType<typeof limitOf>): Uint8Array {
  const parts: Uint8Array[] = [];
  let [at, numMade] = [0, 0];
  do {
    const options = { maxOutputLength: Math.max(1, mostBytes - numMade), info: true };
    // Its types do not know what `info` asks for.
    const { buffer, engine } = zlib.zstdDecompressSync(bytes.subarray(at), options) as unknown as {
      readonly buffer: Uint8Array;
      readonly engine: { readonly bytesWritten: number };
    };
    parts.push(buffer);
    at += engine.bytesWritten;
    numMade += buffer.length;
  } while (at < bytes.length);
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

type Decompress = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export const DECOMPRESS: Readonly<Record<CompressedEnding, Decompress>> = {
  ".gz": (bytes) => zlib.gunzipSync(bytes, limitOf(bytes)),
  // Node has it from 22.15 on; the library is read where it is needed alone.
  ".zst": async (bytes) => {
    if (typeof zlib.zstdDecompressSync === "function") return unzstd(bytes, limitOf(bytes));
    const { decompressZst } = await import("./zstd.ts");
    return decompressZst(bytes, maxDecompressedBytes(bytes.length));
  },
};
