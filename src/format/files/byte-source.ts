/** @file Bytes that can be read at any offset: a file, memory, a file that a browser was given. */
import { FormatError } from "../../errors.ts";

/** An open source of bytes. Whoever opened it closes it. */
export interface ByteSource {
  /** The name to show in messages. */
  readonly path: string;
  readonly sizeBytes: number;
  /**
   * Reads `numBytes` bytes at `offset`. The caller owns them; they start at offset 0 of their own buffer, so that
   * views of any element type are aligned.
   * @throws FormatError format/file when the source is too short.
   */
  read(offset: number, numBytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Fills `bytes`, which the caller owns, from `offset` on. @throws as `read` */
  readInto(offset: number, bytes: Uint8Array): Promise<void>;
  /**
   * Views a range without reading it, valid also after `close`; null where this is not possible. The view is read-only.
   * @throws as `read`
   */
  view(offset: number, numBytes: number): Uint8Array<ArrayBuffer> | null;
  close(): Promise<void>;
}

/** Makes the error of a source that ends too early. */
export function truncated(path: string, foundBytes: number, expectedBytes: number): FormatError {
  return new FormatError(
    "format/file",
    `Cannot read file "${path}": ${foundBytes} bytes, expected at least ${expectedBytes}`,
    { hint: "The file is truncated: download or copy it again." },
  );
}

/** Reads bytes of a source into fresh memory. @throws as `ByteSource.read` */
export async function readBytes(
  source: Pick<ByteSource, "path" | "sizeBytes" | "readInto">,
  offset: number,
  numBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  // Checked before memory is allocated: a damaged header may ask for any size.
  if (offset + numBytes > source.sizeBytes) throw truncated(source.path, source.sizeBytes, offset + numBytes);
  const bytes = new Uint8Array(numBytes);
  await source.readInto(offset, bytes);
  return bytes;
}
