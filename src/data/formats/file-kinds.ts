/**
 * @file The kinds of files with text or rows, found by the endings of their names. To add one: an entry here.
 *
 * A kind contains plain text, rows as text, or rows as bytes. Files of any kind may be compressed, which a second ending
 * states.
 */
import { parseTable } from "./csv-rows.ts";
import { parseJsonArray, parseJsonLineBytes, parseJsonLines } from "./json-rows.ts";
import { readParquetRows } from "./parquet-rows.ts";
import type { ParsedRow, ParseOptions } from "./parsed-row.ts";

/**
 * What is known of a file's bytes before a row is read: text, JSON lines, one JSON value, or bytes that begin and end with the
 * same letters.
 */
type FileForm = "text" | "json-lines" | "json" | { readonly ends: string };

export interface FileKind {
  readonly name: string;
  /** Endings of file names, in lower case; the likeliest first. */
  readonly endings: readonly string[];
  /** Used to refuse a damaged file without reading it. */
  readonly form: FileForm;
  /** What is numbered for the place of a row. */
  readonly counts: "line" | "item" | "row";
  /** Reads rows from text; null: it has no rows, or rows that are not text. @throws format/json, format/file */
  readonly parse: ((text: string, file: string, options: ParseOptions) => Iterable<ParsedRow>) | null;
  /** Reads rows from bytes; null: it is text that is read as a whole. */
  readonly parseBytes:
    | ((
        bytes: Uint8Array,
        file: string,
        options: ParseOptions,
      ) => AsyncIterable<ParsedRow> | Iterable<ParsedRow>)
    | null;
}

/** Endings of compressed files; `data/files/compressions` decompresses them. */
export const COMPRESSED_ENDINGS = [".gz", ".zst"] as const;
export type CompressedEnding = (typeof COMPRESSED_ENDINGS)[number];

/** The likeliest first: of files whose names differ only in their ending, the first is read. */
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

/** Endings of all kinds, for messages. */
export const DATA_ENDINGS: readonly string[] = FILE_KINDS.flatMap(({ endings }) => endings);

/** Whether files of a kind contain text without rows. */
export function isPlainText({ parse, parseBytes }: FileKind): boolean {
  return parse === null && parseBytes === null;
}

/** How a file is compressed, by the end of its name; null: it is not compressed. */
export function compressionOf(file: string): CompressedEnding | null {
  return COMPRESSED_ENDINGS.find((end) => file.toLowerCase().endsWith(end)) ?? null;
}

/** Removes the ending of a compression from a file name. */
export function withoutCompression(file: string): string {
  const ending = compressionOf(file);
  return ending === null ? file : file.slice(0, -ending.length);
}

/** The kind of a file, compressed or not; null: unknown. */
export function findFileKind(file: string): FileKind | null {
  const name = withoutCompression(file).toLowerCase();
  return FILE_KINDS.find(({ endings }) => endings.some((ending) => name.endsWith(ending))) ?? null;
}
