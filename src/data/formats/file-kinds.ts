/**
 * @file The kinds of files that hold text or rows, told by the ends of their names. Adding one: an entry here.
 *
 * A kind holds plain text, rows as text, or rows as bytes. Any of them may be compressed, which a further ending says.
 */
import { parseTable } from "./csv-rows.ts";
import { parseJsonArray, parseJsonLineBytes, parseJsonLines } from "./json-rows.ts";
import { readParquetRows } from "./parquet-rows.ts";
import type { ParsedRow, ParseOptions } from "./parsed-row.ts";

/** What is known of a file's bytes before a row is read: text, lines or a whole of JSON, or bytes that begin and end with the same letters, if any. */
type FileForm = "text" | "json-lines" | "json" | { readonly ends: string };

export interface FileKind {
  readonly name: string;
  /** Ends of the names of files, in lower case; the likeliest first. */
  readonly endings: readonly string[];
  /** By it a damaged file is refused without being read. */
  readonly form: FileForm;
  /** What a row's number counts. */
  readonly counts: "line" | "item" | "row";
  /** Reads rows from text; null: it holds no rows, or not as text. @throws format/json, format/file */
  readonly parse: ((text: string, file: string, options: ParseOptions) => Iterable<ParsedRow>) | null;
  /** Reads rows from bytes; null: it holds text that is read as a whole. */
  readonly parseBytes:
    | ((
        bytes: Uint8Array,
        file: string,
        options: ParseOptions,
      ) => AsyncIterable<ParsedRow> | Iterable<ParsedRow>)
    | null;
}

/** Ends of names that say how a file is compressed; what each stands for is in `data/files/compressions`. */
export const COMPRESSED_ENDINGS = [".gz", ".zst"] as const;
export type CompressedEnding = (typeof COMPRESSED_ENDINGS)[number];

/** The likeliest first: of files that differ in their ending alone, the first is read. */
export const FILE_KINDS: readonly FileKind[] = [
  {
    name: "JSON Lines, one row per line",
    endings: [".jsonl", ".ndjson"],
    form: "json-lines",
    counts: "line",
    parse: parseJsonLines,
    parseBytes: parseJsonLineBytes,
  },
  {
    name: "JSON, a list of rows",
    endings: [".json"],
    form: "json",
    counts: "item",
    parse: parseJsonArray,
    parseBytes: null,
  },
  {
    name: "Parquet",
    endings: [".parquet"],
    form: { ends: "PAR1" },
    counts: "row",
    parse: null,
    parseBytes: readParquetRows,
  },
  {
    name: "CSV with a header, separated by commas, semicolons or tabs",
    endings: [".csv"],
    form: "text",
    counts: "line",
    parse: (text, file, options) => parseTable(text, file, [",", ";", "\t"], options),
    parseBytes: null,
  },
  {
    name: "TSV with a header, separated by tabs",
    endings: [".tsv"],
    form: "text",
    counts: "line",
    parse: (text, file, options) => parseTable(text, file, ["\t"], options),
    parseBytes: null,
  },
  { name: "plain text", endings: [".txt"], form: "text", counts: "line", parse: null, parseBytes: null },
  {
    name: "Markdown, as plain text",
    endings: [".md", ".markdown"],
    form: "text",
    counts: "line",
    parse: null,
    parseBytes: null,
  },
];

/** Every ending of a kind, for people. */
export const DATA_ENDINGS: readonly string[] = FILE_KINDS.flatMap(({ endings }) => endings);

/** Whether files of a kind hold text that is no rows. */
export function isPlainText({ parse, parseBytes }: FileKind): boolean {
  return parse === null && parseBytes === null;
}

/** How a file is compressed, by the end of its name; null: it is not. */
export function compressionOf(file: string): CompressedEnding | null {
  return COMPRESSED_ENDINGS.find((end) => file.toLowerCase().endsWith(end)) ?? null;
}

/** Takes the ending that says how a file is compressed off its name. */
export function withoutCompression(file: string): string {
  const ending = compressionOf(file);
  return ending === null ? file : file.slice(0, -ending.length);
}

/** The kind of a file, compressed or not; null: none that is known. */
export function findFileKind(file: string): FileKind | null {
  const name = withoutCompression(file).toLowerCase();
  return FILE_KINDS.find(({ endings }) => endings.some((ending) => name.endsWith(ending))) ?? null;
}
