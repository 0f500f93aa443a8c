/**
 * @file Decompresses data files, whole or slice by slice. To add a compression: its ending in `file-kinds`, and an entry in
 * both lists, which their types require.
 */
import * as zlib from "node:zlib";
import { ExpandsTooFar, maxDecompressedBytes } from "../../untrusted/limits.ts";
import { systemCode } from "../../messages/system-error.ts";
import type { CompressedEnding } from "../formats/file-kinds.ts";

/** Refuses small files that would expand to fill all memory, with an error of its own: Node's message is about its buffers. */
function withinLimit(decompress: (bytes: Uint8Array, mostBytes: number) => Uint8Array) {
  return (bytes: Uint8Array): Uint8Array => {
    const mostBytes = maxDecompressedBytes(bytes.length);
    try {
      return decompress(bytes, mostBytes);
    } catch (cause) {
      throw systemCode(cause) === "ERR_BUFFER_TOO_LARGE" ? new ExpandsTooFar(mostBytes, { cause }) : cause;
    }
  };
}

/** Decompresses all frames of a file; Node reads only the first. */
function unzstd(bytes: Uint8Array, mostBytes: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let [at, numMade] = [0, 0];
  do {
    const options = { maxOutputLength: Math.max(1, mostBytes - numMade), info: true };
    // Node's types do not cover the result with `info`.
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

const unzstdWithinLimit = withinLimit(unzstd);

/** @throws ExpandsTooFar; what Node throws for damaged bytes */
export const gunzipWithinLimit = withinLimit((bytes, maxOutputLength) =>
  zlib.gunzipSync(bytes, { maxOutputLength }),
);

type Decompress = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export const DECOMPRESS: Readonly<Record<CompressedEnding, Decompress>> = {
  ".gz": gunzipWithinLimit,
  // Node decodes zstd from 22.15 on; otherwise the library is loaded on first use.
  ".zst": async (bytes) => {
    if (typeof zlib.zstdDecompressSync === "function") return unzstdWithinLimit(bytes);
    const { decompressZst } = await import("./zstd.ts");
    return decompressZst(bytes, maxDecompressedBytes(bytes.length));
  },
};

/** Maximum size of a slice. */
const SLICE_BYTES = 1 << 18;

/** Decompresses frame by frame, since Node's stream ends with the first. */
async function* slicesOfZstd(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  let at = 0;
  do {
    const stream = zlib.createZstdDecompress({ chunkSize: SLICE_BYTES });
    stream.end(bytes.subarray(at));
    yield* stream as AsyncIterable<Uint8Array>;
    at += stream.bytesWritten;
  } while (at < bytes.length);
}

const SLICES: Readonly<Record<CompressedEnding, (bytes: Uint8Array) => AsyncIterable<Uint8Array>>> = {
  ".gz": (bytes) => {
    const stream = zlib.createGunzip({ chunkSize: SLICE_BYTES });
    stream.end(bytes);
    return stream;
  },
  ".zst": async function* (bytes) {
    if (typeof zlib.createZstdDecompress === "function") yield* slicesOfZstd(bytes);
    else yield await DECOMPRESS[".zst"](bytes);
  },
};

/**
 * Decompresses a file slice by slice, off the caller's thread; before Node 22.15 a .zst file is one slice, decompressed on that
 * thread.
 * @throws Error when it is damaged, ExpandsTooFar when it would expand beyond the limit
 */
export async function* decompressInSlices(
  bytes: Uint8Array,
  ending: CompressedEnding,
): AsyncGenerator<Uint8Array> {
  const mostBytes = maxDecompressedBytes(bytes.length);
  let numMade = 0;
  for await (const slice of SLICES[ending](bytes)) {
    numMade += slice.length;
    if (numMade > mostBytes) throw new ExpandsTooFar(mostBytes);
    yield slice;
  }
}
