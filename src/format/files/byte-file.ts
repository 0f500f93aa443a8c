/** @file A file opened for reading by byte range; every failure is a FormatError that names the file. */
import { type FileHandle, open } from "node:fs/promises";
import { FormatError } from "../../errors.ts";

/** Largest single read; Node refuses 2 GiB and more. */
const MAX_READ_BYTES = 1 << 30;

/** What the system says about a file, in the words of our messages. */
export function describeFileProblem(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT") return "no such file";
  if (code === "EISDIR") return "it is a folder";
  if (code === "ENOTDIR") return "a part of the path is not a folder";
  if (code === "EACCES" || code === "EPERM") return "no permission to read it";
  return error instanceof Error ? error.message : String(error);
}

/** A file opened for reading. Whoever opened it closes it. */
export class ByteFile {
  readonly path: string;
  readonly sizeBytes: number;
  #handle: FileHandle;

  private constructor(path: string, sizeBytes: number, handle: FileHandle) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.#handle = handle;
  }

  /** Opens a file. @throws FormatError format/file when it is missing or not a file. */
  static async open(path: string): Promise<ByteFile> {
    let handle: FileHandle | null = null;
    try {
      handle = await open(path, "r");
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
    throw new FormatError("format/file", `Cannot read file "${path}": a folder or device, expected a file`, {
      hint: "Give the path of the file itself.",
    });
  }

  /**
   * Reads `numBytes` bytes at `offset`. The caller owns them; they start at offset 0 of their own buffer, so that
   * views of any element type are aligned.
   * @throws FormatError format/file when the file ends before.
   */
  async read(offset: number, numBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    if (offset + numBytes > this.sizeBytes) throw this.#truncated(offset + numBytes, this.sizeBytes);
    const bytes = new Uint8Array(numBytes);
    await this.readInto(offset, bytes);
    return bytes;
  }

  /** Fills `bytes`, which the caller owns, from `offset` on. @throws as `read` */
  async readInto(offset: number, bytes: Uint8Array): Promise<void> {
    const numBytes = bytes.length;
    if (offset + numBytes > this.sizeBytes) throw this.#truncated(offset + numBytes, this.sizeBytes);
    let done = 0;
    while (done < numBytes) {
      const { bytesRead } = await this.#handle.read(
        bytes,
        done,
        Math.min(numBytes - done, MAX_READ_BYTES),
        offset + done,
      );
      if (bytesRead === 0) throw this.#truncated(offset + numBytes, offset + done);
      done += bytesRead;
    }
  }

  /** Closes the file. */
  async close(): Promise<void> {
    await this.#handle.close();
  }

  #truncated(expectedBytes: number, foundBytes: number): FormatError {
    return new FormatError(
      "format/file",
      `Cannot read file "${this.path}": ${foundBytes} bytes, expected at least ${expectedBytes}`,
      { hint: "The file is truncated: download or copy it again." },
    );
  }
}
