/** @file A file to write, as formats describe it: its bytes are made only when it is written. */
import { FormatError } from "../../errors.ts";
import type { ByteSource } from "./byte-source.ts";

/** Appends bytes to the file being written. */
export type Write = (bytes: Uint8Array) => Promise<void>;

/** A file of a folder: its name, and how it is filled. */
export interface FolderFile {
  readonly name: string;
  fill(write: Write): Promise<void>;
  /** Reads back what was written, with the reader of its format. @throws FormatError when it is not what should have been written */
  check(file: ByteSource): Promise<void>;
}

/** Makes the error for a file that reads back as something else than was written. */
export function unlikeWritten(path: string, found: string): FormatError {
  return new FormatError(
    "format/file",
    `Cannot keep file "${path}": it reads back with ${found}, expected the bytes that were written`,
    { hint: "Check the disk and write it again; nothing has been replaced." },
  );
}

/** Makes a file of a folder from text. */
export function textFile(name: string, text: string): FolderFile {
  return bytesFile(name, new TextEncoder().encode(text));
}

/** Makes a file of a folder from bytes. */
export function bytesFile(name: string, bytes: Uint8Array): FolderFile {
  return {
    name,
    fill: (write) => write(bytes),
    async check(file) {
      const found = await file.read(0, file.sizeBytes);
      if (found.length !== bytes.length || found.some((byte, i) => byte !== bytes[i])) {
        throw unlikeWritten(file.path, "other bytes");
      }
    },
  };
}
