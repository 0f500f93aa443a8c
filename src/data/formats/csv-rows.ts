/**
 * @file Rows of tables as text: the first line names the columns, every cell is a text.
 *
 * A cell in quotes may contain delimiters and line breaks. Tables with tabs as delimiters are often written without that rule,
 * and have texts that begin with a quote that is never closed: if every line has equally many tabs, cells end with their line.
 */
import { type CsvError, parse } from "#csv-parse";
import { FormatError } from "../../errors.ts";
import type { ParsedRow, ParseOptions } from "./parsed-row.ts";

type TableRecord = Readonly<Record<string, string>> | readonly string[];

/** A row with the number of its first line. */
interface TableRow {
  readonly record: TableRecord;
  readonly line: number;
}

/** Parses a table whose delimiter is one of `delimiters`, the likeliest first. @throws format/file */
export function* parseTable(
  text: string,
  file: string,
  delimiters: readonly string[],
  { hasNoHeader, onCount }: ParseOptions,
): Iterable<ParsedRow> {
  const faults: ParsedRow[] = [];
  const rows = readRows(text, file, delimiters, { hasNoHeader, onFault: (row) => faults.push(row) });
  onCount?.(rows.length + faults.length);
  yield* faults;
  for (const { record, line } of rows) {
    const value = Array.isArray(record)
      ? Object.fromEntries(record.map((cell: string, i) => [String(i + 1), cell]))
      : record;
    yield { value, source: { file, line } };
  }
}

interface ReadOptions extends Pick<ParseOptions, "hasNoHeader"> {
  /** Called for a row that cannot be read. */
  readonly onFault: (row: ParsedRow) => void;
}

function readRows(
  text: string,
  file: string,
  delimiters: readonly string[],
  { hasNoHeader, onFault }: ReadOptions,
): TableRow[] {
  const told = TOLD_DELIMITER.exec(text)?.[1];
  const delimiter = told ?? findDelimiter(text, delimiters);
  const isByLine = delimiter === "\t" && hasEvenLines(text);
  const lineOf = countLines();
  try {
    return parse(text, {
      delimiter,
      // By default the parser uses the first line end for all; rows appended by another program may have a different one.
      record_delimiter: /\r\n?|\n/.exec(text)?.[0] === "\r" ? "\r" : ["\r\n", "\n"],
      from_line: told === undefined ? 1 : 2,
      columns: hasNoHeader
        ? false
        : (names: readonly string[]) => {
            lineOf(0, names);
            return checkNames(names, file);
          },
      // The result replaces the record, although the parser's types do not say so.
      on_record: ((record: TableRecord, { lines }: { readonly lines: number }): TableRow => ({
        record,
        line: lineOf(lines, Object.values(record)),
      })) as unknown as (record: string[]) => string[],
      skip_empty_lines: true,
      relax_quotes: true,
      ...(isByLine ? { quote: false, cast: withoutQuotes } : {}),
      skip_records_with_error: true,
      on_skip: (error: CsvError | undefined) => {
        // Everything after the quote is lost, not only one row.
        if (error?.code === "CSV_QUOTE_NOT_CLOSED")
          throw new Error("a quote is never closed", { cause: error });
        onFault(faultOf(error, file, lineOf));
      },
    }) as unknown as TableRow[];
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError("format/file", `Cannot read table "${file}": ${found}`, {
      hint: "Put cells with line breaks or quotes into double quotes, and double the quotes inside.",
      cause,
    });
  }
}

/**
 * Returns a function that finds the line in which each row begins; it must be called for the rows in order. `lines`: the
 * parser's count at the end of a row; it counts a line break "\r\n" within a cell twice.
 */
function countLines(): (lines: number, cells: readonly string[]) => number {
  let numTwice = 0;
  return (lines, cells) => {
    const breaks = cells.flatMap((cell) => cell.match(/\r\n|\r|\n/g) ?? []);
    numTwice += breaks.filter((text) => text === "\r\n").length;
    return lines - numTwice - breaks.length;
  };
}

/** A line that tells Excel the delimiter; it is not a row. */
const TOLD_DELIMITER = /^\uFEFF?"?sep=(.)"?(?:\r?\n|\r)/;

/** Characters at the start in which the header is searched. */
const HEADER_CHARACTERS = 65_536;

/** The delimiter that is most frequent in the header, outside quotes; the first in case of a tie. */
function findDelimiter(text: string, delimiters: readonly string[]): string {
  const [header = ""] = text
    .slice(0, HEADER_CHARACTERS)
    .replaceAll(/"(?:[^"]|"")*"/g, "")
    .split(/[\r\n]/, 1);
  return delimiters.toSorted((a, b) => header.split(b).length - header.split(a).length)[0]!;
}

function hasEvenLines(text: string): boolean {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const numCells = lines[0]?.split("\t").length;
  return lines.every((line) => line.split("\t").length === numCells);
}

/** Removes the quotes around a cell. */
function withoutQuotes(cell: string): string {
  return /^"(?:[^"]|"")*"$/.test(cell) ? cell.slice(1, -1).replaceAll('""', '"') : cell;
}

/** Maps columns without a name to false, which leaves them out: spreadsheets write such columns after a table. */
function checkNames(names: readonly string[], file: string): (string | false)[] {
  const seen = new Set<string>();
  for (const name of names.filter((each) => each !== "")) {
    if (seen.has(name)) {
      throw new FormatError(
        "format/file",
        `Cannot read table "${file}": two columns are named ${JSON.stringify(name)}, expected distinct names`,
        { hint: "Rename one of them." },
      );
    }
    seen.add(name);
  }
  return names.map((name) => (name === "" ? false : name));
}

function faultOf(
  error: CsvError | undefined,
  file: string,
  lineOf: ReturnType<typeof countLines>,
): ParsedRow {
  const cells = (error?.["record"] ?? []) as readonly string[];
  const line = typeof error?.["lines"] === "number" ? lineOf(error["lines"], cells) : 1;
  const message = error?.message.replace(/ on line \d+$/, "") ?? "it cannot be read";
  const [, numWanted, numCells] = (/ (\d+), got (\d+)$/.exec(message) ?? []).map(Number);
  // A text, since rows with the same fault are reported together, whatever their numbers.
  const found =
    numWanted === undefined || numCells === undefined
      ? message
      : `too ${numCells > numWanted ? "many" : "few"} cells: ${numCells}, expected ${numWanted}`;
  const fault = new FormatError("format/file", `Cannot parse row: ${found}`, {
    hint: "Give every row as many cells as the first line has.",
  });
  return { fault, source: { file, line } };
}
