/**
 * @file Rows of tables as text: the first line names the columns, every cell is text.
 *
 * Quotes around a cell let it hold delimiters and line breaks. Tables parted by tabs are often written without that rule,
 * and texts in them begin with a quote that never ends: where every line has equally many tabs, no cell goes on past one.
 */
import { type CsvError, parse } from "#csv-parse";
import { FormatError } from "../../errors.ts";
import type { ParsedRow, ParseOptions } from "./parsed-row.ts";

/** What the parser gives for a row. */
interface TableRow {
  readonly record: Readonly<Record<string, string>> | readonly string[];
  readonly info: { readonly lines: number };
}

/** Parses a table of which `delimiters`, the likeliest first, may part the cells. @throws format/file */
export function* parseTable(
  text: string,
  file: string,
  delimiters: readonly string[],
  { hasNoHeader, onCount }: ParseOptions,
): Iterable<ParsedRow> {
  const faults: ParsedRow[] = [];
  const told = TOLD_DELIMITER.exec(text)?.[1];
  const delimiter = told ?? findDelimiter(text, delimiters);
  const isByLine = delimiter === "\t" && hasEvenLines(text);
  let rows: TableRow[];
  try {
    rows = parse(text, {
      delimiter,
      from_line: told === undefined ? 1 : 2,
      columns: hasNoHeader ? false : (names: readonly string[]) => checkNames(names, file),
      info: true,
      skip_empty_lines: true,
      relax_quotes: true,
      ...(isByLine ? { quote: false, cast: withoutQuotes } : {}),
      skip_records_with_error: true,
      on_skip: (error: CsvError | undefined) => {
        // Everything behind it is lost, not one row.
        if (error?.code === "CSV_QUOTE_NOT_CLOSED")
          throw new Error("a quote is not closed", { cause: error });
        faults.push(faultOf(error, file));
      },
    }) as unknown as TableRow[];
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError("format/file", `Cannot read table "${file}": ${found}`, {
      hint: "Write cells with line breaks or quotes as other programs do: in double quotes, with quotes inside doubled.",
      cause,
    });
  }
  onCount?.(rows.length + faults.length);
  yield* faults;
  for (const { record, info } of rows) {
    const value = Array.isArray(record)
      ? Object.fromEntries(record.map((cell: string, i) => [String(i + 1), cell]))
      : record;
    yield { value, source: { file, line: info.lines } };
  }
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
  const twice = names.find((name, i) => name !== "" && names.indexOf(name) !== i);
  if (twice === undefined) return names.map((name) => (name === "" ? false : name));
  throw new FormatError(
    "format/file",
    `Cannot read table "${file}": two columns are named ${JSON.stringify(twice)}, expected names that differ`,
    { hint: "Rename one of them." },
  );
}

function faultOf(error: CsvError | undefined, file: string): ParsedRow {
  const line = typeof error?.["lines"] === "number" ? error["lines"] : 1;
  const found = error?.message ?? "it cannot be read";
  const fault = new FormatError("format/file", `Cannot parse row: ${found.replace(/ on line \d+$/, "")}`, {
    hint: "Give the row as many cells as the header has.",
  });
  return { fault, source: { file, line } };
}
