/**
 * @file Rows of tables as text: the first line names the columns, every cell is text.
 *
 * Quotes around a cell let it hold delimiters and line breaks. Tables parted by tabs are often written without that rule,
 * and texts in them begin with a quote that never ends: where every line has equally many tabs, no cell goes on past one.
 */
import { type CsvError, parse } from "#csv-parse";
import { FormatError } from "../../errors.ts";
import type { ParsedRow, ParseOptions } from "./parsed-row.ts";

type TableRecord = Readonly<Record<string, string>> | readonly string[];

/** A row with the line in which it begins. */
interface TableRow {
  readonly record: TableRecord;
  readonly line: number;
}

/** Parses a table of which `delimiters`, the likeliest first, may part the cells. @throws format/file */
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
  /** Hears of a row that cannot be read. */
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
      // Of itself the parser takes the first line's end for that of all: rows that another program added may have another.
      record_delimiter: /\r\n?|\n/.exec(text)?.[0] === "\r" ? "\r" : ["\r\n", "\n"],
      from_line: told === undefined ? 1 : 2,
      columns: hasNoHeader
        ? false
        : (names: readonly string[]) => {
            lineOf(0, names);
            return checkNames(names, file);
          },
      // What it gives takes the record's place, whatever the types of the parser say.
      on_record: ((record: TableRecord, { lines }: { readonly lines: number }): TableRow => ({
        record,
        line: lineOf(lines, Object.values(record)),
      })) as unknown as (record: string[]) => string[],
      skip_empty_lines: true,
      relax_quotes: true,
      ...(isByLine ? { quote: false, cast: withoutQuotes } : {}),
      skip_records_with_error: true,
      on_skip: (error: CsvError | undefined) => {
        // Everything behind it is lost, not one row.
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
 * Finds the lines in which rows begin, asked in their order. `lines`: what the parser has counted at the end of a row, where it
 * counts a break within a cell twice that is "\r\n".
 */
function countLines(): (lines: number, cells: readonly string[]) => number {
  let numTwice = 0;
  return (lines, cells) => {
    const breaks = cells.flatMap((cell) => cell.match(/\r\n|\r|\n/g) ?? []);
    numTwice += breaks.filter((text) => text === "\r\n").length;
    return lines - numTwice - breaks.length;
  };
}

/** The line in which Excel is told what parts the cells; it is no row. */
const TOLD_DELIMITER = /^\uFEFF?"?sep=(.)"?(?:\r?\n|\r)/;

/** Characters that a header is looked for in. */
const HEADER_CHARACTERS = 65_536;

/** The delimiter that the header has most of, outside of quotes; the first of equal ones. */
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

/** Takes quotes off a cell that was written in them. */
function withoutQuotes(cell: string): string {
  return /^"(?:[^"]|"")*"$/.test(cell) ? cell.slice(1, -1).replaceAll('""', '"') : cell;
}

/** Columns without a name, as spreadsheets leave them behind a table, are left out: false. */
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
  // In words, for rows with the same fault are told together, whatever its numbers.
  const found =
    numWanted === undefined || numCells === undefined
      ? message
      : `too ${numCells > numWanted ? "many" : "few"} cells: ${numCells}, expected ${numWanted}`;
  const fault = new FormatError("format/file", `Cannot parse row: ${found}`, {
    hint: "Give every row as many cells as the first line has.",
  });
  return { fault, source: { file, line } };
}
