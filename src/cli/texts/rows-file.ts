/**
 * @file Reads the rows of a file for a command that processes them itself: lines of plain text, or rows of a table.
 *
 * All rows are read before any is processed, and all unusable ones are reported at once.
 */
import { openContent, rowsOf } from "../../data/files/data-content.ts";
import type { ParsedRow } from "../../data/formats/parsed-row.ts";
import { decodeUtf8 } from "../../data/formats/utf8.ts";
import { Faults } from "../../data/reports/faults.ts";
import { type Columns, renameColumns } from "../../data/rows/columns.ts";
import { isRecord, jsonKind, type RawFields, rowError } from "../../data/rows/row-error.ts";
import { UsageError, errorOf } from "../../errors.ts";

interface RowsFile {
  readonly path: string;
  /** Name of the rows in messages. */
  readonly what: "prompts" | "texts";
  /** The key under which a line of plain text becomes a row. */
  readonly key: string;
  readonly columns?: Columns | undefined;
}

/** Reads each row with `read`. @throws FormatError "format/file"; UsageError or FormatError that names all unusable rows */
export async function readRows<T extends object>(
  { path, what, key, columns = new Map() }: RowsFile,
  read: (row: RawFields, source: ParsedRow["source"]) => T,
): Promise<(T & { readonly line: number })[]> {
  const content = await openContent(path);
  const rows = rowsOf(content, { columns }) ?? linesOf(decodeUtf8(content.bytes, path), path, key);
  const faults = new Faults();
  const found: (T & { readonly line: number })[] = [];
  for await (const row of rows) {
    try {
      if ("fault" in row) throw row.fault;
      const { source } = row;
      const value = renameColumns(row.value, columns, () => false);
      if (!isRecord(value)) {
        throw rowError("row", jsonKind(value), "an object", `Write one {"${key}": "…"} per line.`);
      }
      found.push({ line: source.line, ...read(value, source) });
    } catch (error) {
      faults.add(row.source, error);
    }
  }
  const [first] = faults.kinds;
  if (first) {
    const told = faults.describe().map((line) => `\n  ${line}`);
    throw errorOf(first.code, `Cannot use ${what} "${path}":${told.join("")}`, first.hint);
  }
  if (found.length > 0) return found;
  throw new UsageError("usage/data", `Cannot use ${what} "${path}": there are none, expected at least one`, {
    hint: `Write one ${key} per line.`,
  });
}

/** Lines of plain text; empty ones are skipped. */
function linesOf(text: string, file: string, key: string): ParsedRow[] {
  return text
    .split(/\r?\n/)
    .flatMap((line, i): ParsedRow[] =>
      line.trim() === "" ? [] : [{ value: { [key]: line }, source: { file, line: i + 1 } }],
    );
}
