/**
 * @file IDX files, the format of MNIST and similar data sets for images and labels: a header with the sizes of the axes, then
 * bytes.
 *
 *   0 0 type rank | size of each axis, 32 bits, high byte first | elements, the last axis fastest
 */
import { z } from "zod";
import { A_COUNT, argument, checkArguments, lazily } from "../../messages/arguments.ts";
import { numElements } from "../../graph/shape.ts";
import { FormatError } from "../../errors.ts";

/** Unsigned 8-bit numbers, with the sizes of their axes, row-major. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** The type code of unsigned bytes, the only type of images. */
const UNSIGNED_BYTE = 0x08;

/** Encodes an array as an IDX file. */
export function encodeIdx({ shape, data }: IdxArray): Uint8Array {
  const start = 4 + 4 * shape.length;
  const bytes = new Uint8Array(start + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, (UNSIGNED_BYTE << 8) | shape.length);
  for (const [axis, size] of shape.entries()) view.setUint32(4 + 4 * axis, size);
  bytes.set(data, start);
  return bytes;
}

/** Makes the error for an unusable IDX file. `path`: its name in messages. */
export function unusableIdx(path: string, found: string, hint: string, cause?: unknown): FormatError {
  return new FormatError("format/file", `Cannot read IDX file "${path}": ${found}`, { hint, cause });
}

const ARGUMENTS = lazily(() =>
  z.strictObject({
    bytes: argument<Uint8Array>("a Uint8Array", (value) => value instanceof Uint8Array),
    rank: A_COUNT,
    path: z.string(),
  }),
);

/**
 * Decodes an IDX file of bytes with `rank` axes; the data are a view of `bytes`. `path`: its name in messages.
 * @throws FormatError "format/file" when it is damaged, truncated, or of another kind
 */
export function decodeIdx(bytes: Uint8Array, rank: number, path: string): IdxArray {
  checkArguments("decodeIdx", ARGUMENTS, { bytes, rank, path });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint16(0) !== 0) {
    throw unusableIdx(path, "it does not start like an IDX file", "Give an idx3-ubyte or idx1-ubyte file.");
  }
  const [type, found] = [view.getUint8(2), view.getUint8(3)];
  if (type !== UNSIGNED_BYTE || found !== rank) {
    throw unusableIdx(
      path,
      `${found} axes of type ${type}, expected ${rank} of type ${UNSIGNED_BYTE} (bytes)`,
      "Images have three axes (idx3), labels have one (idx1).",
    );
  }
  const start = 4 + 4 * rank;
  if (bytes.length < start)
    throw unusableIdx(path, "its header is truncated", "Copy or download the file again.");
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const size = numElements(shape);
  if (bytes.length !== start + size) {
    throw unusableIdx(
      path,
      `${bytes.length - start} bytes after its header, expected ${size} (${shape.join(" × ")})`,
      "Copy or download the file again.",
    );
  }
  return { shape, data: bytes.subarray(start) };
}
