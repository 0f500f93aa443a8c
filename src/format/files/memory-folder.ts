/** @file A folder in memory, or of files that a browser was given (`Blob`), of which only the needed bytes are read. */
import { z } from "zod";
import { argument, checkArguments, lazily } from "../../messages/arguments.ts";
import { type ByteSource, readBytes, truncated } from "./byte-source.ts";
import { type Folder, missingFile, pathIn } from "./folder.ts";

/** What a file of a folder may contain. */
export type FileContents = string | Uint8Array | Blob;

/** Makes a source from a file's contents; bytes are not copied until they are read. */
function memorySource(path: string, contents: FileContents): ByteSource {
  const held = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
  const sizeBytes = held instanceof Uint8Array ? held.length : held.size;
  const slice = async (start: number, end: number): Promise<Uint8Array> =>
    held instanceof Uint8Array
      ? held.subarray(start, end)
      : new Uint8Array(await held.slice(start, end).arrayBuffer());
  const source = {
    path,
    sizeBytes,
    async readInto(offset: number, bytes: Uint8Array): Promise<void> {
      const end = offset + bytes.length;
      if (end > sizeBytes) throw truncated(path, sizeBytes, end);
      bytes.set(await slice(offset, end));
    },
  };
  return {
    ...source,
    read: (offset, numBytes) => readBytes(source, offset, numBytes),
    view: () => null,
    close: async () => {},
  };
}

const ARGUMENTS = lazily(() =>
  z.strictObject({
    path: z.string(),
    files: z.record(
      z.string(),
      argument<FileContents>(
        "text, a Uint8Array or a Blob",
        (value) => typeof value === "string" || value instanceof Uint8Array || value instanceof Blob,
      ),
    ),
  }),
);

/** Makes a folder from files by name; messages show `path` as its path. */
export function memoryFolder(path: string, files: Readonly<Record<string, FileContents>>): Folder {
  checkArguments("memoryFolder", ARGUMENTS, { path, files });
  const contentsOf = (name: string): FileContents | null =>
    Object.hasOwn(files, name) ? files[name]! : null;
  return {
    path,
    names: async () => Object.keys(files).toSorted(),
    async open(name) {
      const contents = contentsOf(name);
      if (contents === null) throw missingFile(pathIn({ path }, name), "a readable file");
      return memorySource(pathIn({ path }, name), contents);
    },
    async text(name) {
      const contents = contentsOf(name);
      if (contents === null || typeof contents === "string") return contents;
      return contents instanceof Uint8Array ? new TextDecoder().decode(contents) : await contents.text();
    },
  };
}
