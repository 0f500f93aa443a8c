/** @file JSON of a test: configurations and states that it looks into or changes, and lines that a run tells. */
import { readFileSync } from "node:fs";

/** Reads a file that holds one JSON object. */
export function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
}

/** Reads text that holds one JSON value a line. */
export function jsonLines<T = Record<string, unknown>>(text: string): T[] {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);
}
