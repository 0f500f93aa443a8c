/** @file JSON files: parsed as an object with errors that name the file, and written as Python writes them. */
import { FormatError } from "../../errors.ts";

export type JsonObject = Record<string, unknown>;

/** Most levels of nested objects and lists: values are handled by recursive functions, and no file of a model comes near this. */
const MAX_DEPTH = 100;

function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeper(inner, depth - 1));
}

/** Finds a key that occurs twice in one object of valid JSON text; null: there is none. */
export function findRepeatedKey(text: string): string | null {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (sign === "{" || sign === "[") open.push(new Set());
    else if (sign === "}" || sign === "]") open.pop();
    if (sign !== '"') continue;
    const start = at;
    for (at++; text[at] !== '"'; at++) if (text[at] === "\\") at++;
    let next = at + 1;
    while (" \n\r\t".includes(text[next] ?? "x")) next++;
    if (text[next] !== ":") continue;
    const key = JSON.parse(text.slice(start, at + 1)) as string;
    const keys = open.at(-1);
    if (keys?.has(key)) return key;
    keys?.add(key);
  }
  return null;
}

/** Parses JSON text that must be an object. @throws FormatError format/json naming `source`. */
export function parseJsonObject(text: string, source: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError(
      "format/json",
      `Cannot parse JSON "${source}": ${(error as Error).message}, expected an object`,
      { hint: "The file is damaged or not JSON: download it again.", cause: error },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const found = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
    throw new FormatError("format/json", `Cannot parse JSON "${source}": ${found}, expected an object`, {
      hint: "The file is not what its name says: download it again.",
    });
  }
  if (isDeeper(value, MAX_DEPTH)) {
    throw new FormatError(
      "format/json",
      `Cannot parse JSON "${source}": more than ${MAX_DEPTH} nested levels, expected fewer`,
      { hint: "The file is not what its name says: download it again." },
    );
  }
  return value as JsonObject;
}

/** Sorts the keys of objects at every depth and turns sets of strings into sorted arrays. */
function sorted(value: unknown): unknown {
  if (value instanceof Set) return [...(value as Set<string>)].sort((a, b) => (a < b ? -1 : 1));
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, v]) => [key, sorted(v)]));
}

/** Writes a value as Hugging Face does: keys sorted at every depth, an indent of 2, a newline at the end. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(sorted(value), null, 2)}\n`;
}
