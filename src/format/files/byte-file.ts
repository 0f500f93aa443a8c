/** @file A file on disk, opened for reading by byte range; every failure to read is a FormatError that names the file. */
import type { FileHandle } from "node:fs/promises";
import { FormatError, UsageError } from "../../errors.ts";
import { mapFile } from "../../runtime/memory/mapped-file.ts";
import { describeFileProblem, toFailedRead } from "../../messages/system-error.ts";
import { disk } from "./disk/calls.ts";
import { type ByteSource, readBytes, truncated } from "./byte-source.ts";

/** Largest single read; Node refuses 2 GiB and more. */
const MAX_READ_BYTES = 1 << 30;

/** A file opened for reading. Whoever opened it closes it. */
export class ByteFile implements ByteSource {
  readonly path: string;
  readonly sizeBytes: number;
  #handle: FileHandle;
  #mapping: ArrayBuffer | null = null;
  #isClosed = false;

  private constructor(path: string, sizeBytes: number, handle: FileHandle) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.#handle = handle;
  }

  /** Opens a file. @throws FormatError format/file when it is missing or not a file. */
  static async open(path: string): Promise<ByteFile> {
    let handle: FileHandle | null = null;
    try {
      handle = await disk().open(path, "r");
      const info = await handle.stat();
      if (info.isFile()) return new ByteFile(path, info.size, handle);
    } catch (error) {
      await handle?.close();
      throw new FormatError(
        "format/file",
        `Cannot read file "${path}": ${describeFileProblem(error)}, expected a readable file`,
        { hint: "Check the path, and that the download is complete.", cause: error },
      );
    }
    await handle.close();
    throw new FormatError("format/file", `Cannot read file "${path}": a folder, expected a file`, {
      hint: "Give the path of the file itself.",
    });
  }

  async read(offset: number, numBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    return await readBytes(this, offset, numBytes);
  }

  async readInto(offset: number, bytes: Uint8Array): Promise<void> {
    this.#requireOpen();
    const numBytes = bytes.length;
    if (offset + numBytes > this.sizeBytes) throw truncated(this.path, this.sizeBytes, offset + numBytes);
    let done = 0;
    while (done < numBytes) {
      const bytesRead = await this.#readSome(bytes, done, offset + done);
      // The file was truncated while it was read.
      if (bytesRead === 0) throw truncated(this.path, offset + done, offset + numBytes);
      done += bytesRead;
    }
  }

  /** Reads what one call returns into `bytes` from `start` on; returns its length. @throws FormatError format/file when the disk fails */
  async #readSome(bytes: Uint8Array, start: number, offset: number): Promise<number> {
    const numBytes = Math.min(bytes.length - start, MAX_READ_BYTES);
    try {
      return (await this.#handle.read(bytes, start, numBytes, offset)).bytesRead;
    } catch (error) {
      throw toFailedRead(error, this.path);
    }
  }

  view(offset: number, numBytes: number): Uint8Array<ArrayBuffer> | null {
    this.#requireOpen();
    this.#mapping ??= mapFile(this.#handle.fd);
    if (this.#mapping === null) return null;
    const foundBytes = Math.min(this.sizeBytes, this.#mapping.byteLength);
    if (offset + numBytes > foundBytes) throw truncated(this.path, foundBytes, offset + numBytes);
    return new Uint8Array(this.#mapping, offset, numBytes);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#handle.close();
  }

  /** @throws UsageError "usage/state" after `close` */
  #requireOpen(): void {
    if (!this.#isClosed) return;
    throw new UsageError(
      "usage/state",
      `Cannot read file "${this.path}": it is closed, expected an open one`,
      {
        hint: "Close a checkpoint only after everything that reads it, or open it again.",
      },
    );
  }
}
