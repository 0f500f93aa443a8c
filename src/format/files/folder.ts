/** @file A folder as readers of models and adapters see it: names and files, on a disk or in memory. */
import { objectWith } from "../../messages/arguments.ts";
import { FormatError } from "../../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { type JsonObject, findRepeatedKey, parseJsonObject } from "./json-file.ts";

/** Files by name, on a disk or in memory, which are read on demand. */
export interface Folder {
  /** The name to show in messages. */
  readonly path: string;
  /** Lists its names, sorted. @throws FormatError format/file when it cannot be listed */
  names(): Promise<readonly string[]>;
  /** Opens a file; the caller closes it. @throws FormatError format/file when it is missing or not a file */
  open(name: string): Promise<ByteSource>;
  /** Reads a file as UTF-8; null when there is none. @throws FormatError format/file when it cannot be read */
  text(name: string): Promise<string | null>;
}

/** Returns the path of a file of a folder, as messages show it. */
export function pathIn({ path }: Pick<Folder, "path">, name: string): string {
  return path === "." || path === "" ? name : `${path.replace(/\/+$/, "")}/${name}`;
}

/** Makes the error for a missing file. */
export function missingFile(path: string, expected: string): FormatError {
  return new FormatError("format/file", `Cannot read file "${path}": no such file, expected ${expected}`, {
    hint: "Check the path, and that the download is complete.",
  });
}

/**
 * Parses a JSON object of the file `path`. A repeated key is refused, since some readers of JSON take the first of its values and
 * others the last.
 * @throws FormatError format/json
 */
export function parseUniqueKeys(text: string, path: string): JsonObject {
  const value = parseJsonObject(text, path);
  const repeated = findRepeatedKey(text);
  if (repeated === null) return value;
  throw new FormatError(
    "format/json",
    `Cannot read file "${path}": key "${repeated}" occurs twice, expected each key once`,
    { hint: "Delete the wrong one; most programs use the last." },
  );
}

/** Reads a JSON object of a folder; null when there is no such file. @throws FormatError format/file, format/json */
export async function readJsonIfPresent(folder: Folder, name: string): Promise<JsonObject | null> {
  const text = await folder.text(name);
  return text === null ? null : parseUniqueKeys(text, pathIn(folder, name));
}

/** Reads a JSON object of a folder. @throws FormatError format/file, format/json */
export async function readJson(folder: Folder, name: string): Promise<JsonObject> {
  const value = await readJsonIfPresent(folder, name);
  if (value === null) throw missingFile(pathIn(folder, name), "a JSON file");
  return value;
}

/** Schema of a folder that a caller gives. */
export const A_FOLDER = objectWith<Folder>(
  "a Folder, such as memoryFolder() returns",
  "path",
  "names",
  "open",
  "text",
);
