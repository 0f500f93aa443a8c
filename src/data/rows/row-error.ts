/** @file Checks of values in a row, and the error for an unusable one. Errors carry no place; the reader of the file adds it. */
import { UsageError } from "../../errors.ts";

/** An object with unknown keys. */
export type RawFields = Readonly<Record<string, unknown>>;

/** Makes the error of a row that cannot be used. */
export function rowError(what: string, found: string, expected: string, hint: string): UsageError {
  return new UsageError("usage/data", `Cannot read ${what}: ${found}, expected ${expected}`, { hint });
}

/** Tells whether a value is an object with keys. */
export function isRecord(value: unknown): value is RawFields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Names the kind of a JSON value for a message. */
export function jsonKind(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** Reads a string; `wanted` says what an empty one lacks. Without it an empty string is accepted. @throws usage/data */
export function readString(row: RawFields, key: string, wanted?: string): string {
  const value = row[key];
  if (typeof value !== "string") throw rowError(`"${key}"`, jsonKind(value), "a string", "Fix the row.");
  if (value === "" && wanted !== undefined) {
    throw rowError(`"${key}"`, "an empty string", wanted, "Remove the row.");
  }
  return value;
}
