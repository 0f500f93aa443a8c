/** @file Rows of JSON: one per line, or in a list. */
import { FormatError } from "../../errors.ts";
import { isWrittenNumber, parseJson, withPlainFloats } from "./long-integer.ts";
import type { ParsedRow, ParseOptions } from "./parsed-row.ts";
import { countLineEnds, decodeLines } from "./utf8.ts";

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Parses JSON lines one by one; skips empty lines. A line that is not JSON yields a fault. */
export function parseJsonLines(text: string, file: string): Iterable<ParsedRow> {
  return parseLines([text], file);
}

/** Parses JSON lines from bytes, of which only one piece at a time is decoded. @throws as `decodeUtf8` */
export function* parseJsonLineBytes(
  bytes: Uint8Array,
  file: string,
  options?: ParseOptions,
): Iterable<ParsedRow> {
  options?.onCount?.(countLineEnds(bytes) + (bytes.at(-1) === 0x0a ? 0 : 1));
  yield* parseLines(decodeLines(bytes, file), file);
}

/** Parses pieces of text that end at line ends. */
function* parseLines(pieces: Iterable<string>, file: string): Iterable<ParsedRow> {
  let line = 0;
  for (const text of pieces)
    for (const content of splitLines(text)) {
      line++;
      // `trim` also removes byte order marks, which stand inside a file that was joined from several.
      const row = content.trim();
      if (row !== "") yield parseLine(row, { file, line });
    }
}

function* splitLines(text: string): Iterable<string> {
  for (let start = 0; start < text.length;) {
    const next = text.indexOf("\n", start);
    const end = next < 0 ? text.length : next;
    yield text.slice(start, end);
    start = end + 1;
  }
}

function parseLine(content: string, source: ParsedRow["source"]): ParsedRow {
  try {
    return { value: withPlainColumns(parseJson(content)), source };
  } catch (cause) {
    const fault = new FormatError(
      "format/json",
      `Cannot parse row: ${reason(cause)}, expected one JSON object per line`,
      { hint: "Fix the line; line breaks inside strings are written \\n.", cause },
    );
    return { fault, source };
  }
}

/**
 * Converts numbers in columns, and in lists in columns, to plain JavaScript numbers; those nested deeper stay as written for
 * templates.
 */
function withPlainColumns(row: unknown): unknown {
  const isPlain = (value: unknown): boolean =>
    !(Array.isArray(value) ? value.some(isWrittenNumber) : isWrittenNumber(value));
  if (typeof row !== "object" || row === null || Object.values(row).every(isPlain)) return row;
  return Object.fromEntries(
    Object.entries(row).map(([key, value]) => [key, isPlain(value) ? value : withPlainFloats(value)]),
  );
}

/** Parses a JSON array of rows. @throws format/json naming the file */
export function* parseJsonArray(text: string, file: string, options?: ParseOptions): Iterable<ParsedRow> {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw new FormatError(
      "format/json",
      `Cannot parse file "${file}": ${reason(cause)}, expected a JSON array`,
      { hint: "Fix the file, or name it .jsonl if it has one object per line.", cause },
    );
  }
  if (!Array.isArray(value)) {
    throw new FormatError(
      "format/json",
      `Cannot read data set "${file}": the file contains ${value === null ? "null" : `one ${typeof value}`}, expected a JSON array of rows`,
      { hint: "Put the rows into one array." },
    );
  }
  options?.onCount?.(value.length);
  for (const [index, item] of value.entries())
    yield { value: withPlainColumns(item), source: { file, line: index + 1 } };
}
