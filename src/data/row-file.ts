/**
 * @file The rows of a .jsonl or .json file, with the line (or item number) of each.
 */
import { FormatError } from "../errors.ts";
import type { ExampleSource } from "./example.ts";

/** A parsed row that nothing has been checked of. */
export interface RawRow {
  readonly value: unknown;
  readonly source: ExampleSource;
}

/** Names the place of a row for people: `file:line`, or `file item n` for .json. */
export function describeSource(source: ExampleSource): string {
  return source.file.endsWith(".json")
    ? `${source.file} item ${source.line}`
    : `${source.file}:${source.line}`;
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Parses JSON lines; empty lines are skipped. @throws format/json naming the file and line */
export function parseJsonLines(text: string, file: string): RawRow[] {
  const rows: RawRow[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const source = { file, line: index + 1 };
    try {
      rows.push({ value: JSON.parse(line), source });
    } catch (cause) {
      throw new FormatError(
        "format/json",
        `Cannot parse line "${describeSource(source)}": ${reason(cause)}, expected one JSON object a line`,
        { hint: "Mend the line; line breaks inside strings are written \\n.", cause },
      );
    }
  }
  return rows;
}

/** Parses a JSON array of rows. @throws format/json naming the file */
export function parseJsonArray(text: string, file: string): RawRow[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(
      "format/json",
      `Cannot parse file "${file}": ${reason(cause)}, expected a JSON array`,
      {
        hint: "Mend the file, or name it .jsonl if it has one object a line.",
        cause,
      },
    );
  }
  if (!Array.isArray(value)) {
    throw new FormatError(
      "format/json",
      `Cannot read data set "${file}": the file holds one ${typeof value}, expected a JSON array of rows`,
      { hint: "Put the rows into one array." },
    );
  }
  return value.map((item: unknown, index) => ({ value: item, source: { file, line: index + 1 } }));
}
