/** @file JSON files of a test: configurations and states that it looks into or changes. */
import { readFileSync } from "node:fs";

/** Reads a file that holds one JSON object. */
export function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
}
