/** @file The content of a data file, and the one way from its bytes to units, in this thread or another. */
import { createHash } from "node:crypto";
import { FormatError, UsageError } from "../../errors.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { describeFileProblem, systemCode } from "../../messages/system-error.ts";
import type { DataKindName, DataUnits } from "../examples/data-kinds.ts";
import type { RowCounts } from "../reports/data-report.ts";
import { type DatasetOptions, rowParsing, UnitReader } from "../dataset.ts";
import {
  COMPRESSED_ENDINGS,
  compressionOf,
  DATA_ENDINGS,
  FILE_KINDS,
  type FileKind,
  findFileKind,
} from "../formats/file-kinds.ts";
import type { ParsedRow } from "../formats/parsed-row.ts";
import { decodeUtf8, SPLIT_HINT } from "../formats/utf8.ts";
import { Breath } from "./breath.ts";
import { ExpandsTooFar } from "../../untrusted/limits.ts";
import { DECOMPRESS } from "./compressions.ts";

/** Decompressed bytes of data. */
export interface DataContent {
  readonly bytes: Uint8Array;
  /** SHA-256 of the file as stored on the disk, in hexadecimal. */
  readonly sha256: string;
  /** The name that messages use for it. */
  readonly file: string;
  /** Name of its kind in `FILE_KINDS`. */
  readonly kind: string;
}

/** Receives the number of rows that are done, and their total if that is known. */
export type OnRows = (numRows: number, totalRows: number | null) => void;

/**
 * Reads and decompresses a file. `orFolder`: the caller also accepts folders, so messages say so.
 * @throws FormatError "format/file", UsageError "usage/data" for an unknown kind
 */
export async function openContent(path: string, { orFolder = false } = {}): Promise<DataContent> {
  let bytes: Uint8Array;
  try {
    bytes = await disk().readFile(path);
  } catch (cause) {
    if (systemCode(cause) === "ERR_FS_FILE_TOO_LARGE") throw tooLarge(path, cause);
    const expected = orFolder ? `${A_FILE} or a folder` : A_FILE;
    throw unreadable(
      path,
      `${describeFileProblem(cause)}, expected ${expected}`,
      hintFor(path, cause),
      cause,
    );
  }
  const kind = requireKind(path);
  const compression = compressionOf(path);
  const facts = { sha256: hashBytes(bytes), file: path, kind: kind.name };
  if (compression === null) return { bytes, ...facts };
  try {
    return { bytes: await DECOMPRESS[compression](bytes), ...facts };
  } catch (cause) {
    if (cause instanceof ExpandsTooFar) throw expandsTooFar(path, cause);
    const found = cause instanceof Error ? cause.message : String(cause);
    const hint = "Check that the file was copied completely, and is compressed as its name says.";
    throw unreadable(path, `${found}, expected ${A_FILE}`, hint, cause);
  }
}

/** SHA-256 of bytes, in hexadecimal. */
export function hashBytes(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Says what to do when a path cannot be read as a file. */
function hintFor(path: string, cause: unknown): string {
  if (systemCode(cause) === "EISDIR") return "Give one of the files in it.";
  if (/^[a-z][a-z\d+]+:\/\//i.test(path)) return "Data is read from this machine: download the file first.";
  if (/\s/.test(path) && findFileKind(path) === null)
    return "Check the path. To train on the text itself, put it into a .txt file, or pass it as a row, { text }.";
  return "Check the path.";
}

const A_FILE = `a file (${DATA_ENDINGS.join(", ")}; also ${COMPRESSED_ENDINGS.join(", ")})`;

function unreadable(path: string, found: string, hint: string, cause: unknown): FormatError {
  return new FormatError("format/file", `Cannot read data set "${path}": ${found}`, { hint, cause });
}

/** The error differs from that of a damaged file, whose hint is to copy it again. */
function expandsTooFar(path: string, cause: ExpandsTooFar): FormatError {
  return new FormatError("format/file", `Cannot read data set "${path}": ${cause.message}`, {
    hint: "Decompress it first, if you trust it: files that are not compressed have no such limit.",
    cause,
  });
}

/** Node cannot read or hash 2 GiB or more at once. */
function tooLarge(path: string, cause: unknown): FormatError {
  const form = findFileKind(path)?.form;
  const isText = compressionOf(path) === null && (form === "text" || form === "json-lines");
  return new FormatError(
    "format/file",
    `Cannot read data set "${path}": the file has 2 GiB or more, expected a smaller one`,
    { hint: isText ? SPLIT_HINT : "Split it into several files in one folder, and give the folder.", cause },
  );
}

function requireKind(path: string): FileKind {
  const kind = findFileKind(path);
  if (kind) return kind;
  throw new UsageError(
    "usage/data",
    `Cannot read data set "${path}": its name does not show its format, expected one that ends in ${DATA_ENDINGS.join(", ")}`,
    { hint: hintForEnding(path) },
  );
}

/** How to convert files of other programs to data, where renaming would not help. */
const EXPORTS: readonly (readonly [RegExp, string])[] = [
  [
    /\.(xlsx?|xlsm|xlsb|ods|numbers)$/i,
    "Save the sheet as CSV in UTF-8, with a header line of column names.",
  ],
  [/\.(docx?|odt|rtf|pages|pdf|epub|html?)$/i, "Save its text as a .txt or .md file in UTF-8."],
  [
    /\.(arrow|feather)$/i,
    "Convert it to Parquet in Python, with to_parquet of a datasets Dataset or a pandas DataFrame.",
  ],
  [/\.(zip|tar|tgz|7z|rar|bz2|xz|tar\.gz|tar\.zst)$/i, "Unpack it, and give the folder or one of its files."],
];

function hintForEnding(path: string): string {
  const known = EXPORTS.find(([ending]) => ending.test(path));
  return known?.[1] ?? "Rename the file; the ending may be followed by .gz or .zst.";
}

/** The rows of some content; null if it is plain text. @throws FormatError for faults that are not of single rows */
export function rowsOf(
  { bytes, file, kind: name }: DataContent,
  options: Pick<DatasetOptions<DataKindName>, "columns">,
  onCount?: (numRows: number) => void,
): AsyncIterable<ParsedRow> | Iterable<ParsedRow> | null {
  const kind = FILE_KINDS.find((one) => one.name === name)!;
  const how = rowParsing(options, onCount);
  return kind.parseBytes?.(bytes, file, how) ?? kind.parse?.(decodeUtf8(bytes, file), file, how) ?? null;
}

/**
 * Passes each unit of some content to `keep`; an error thrown by `onRows` stops it.
 * @throws FormatError, UsageError for faults that are not of single rows
 */
export async function readContent<K extends DataKindName>(
  content: DataContent,
  options: DatasetOptions<K>,
  keep: (unit: DataUnits[K]) => void,
  onRows: OnRows,
): Promise<RowCounts> {
  const reader = new UnitReader(options, keep);
  let [numRows, total] = [0, null as number | null];
  const rows = rowsOf(content, options, (count) => void (total = count));
  const breath = new Breath();
  const addRow = (row: ParsedRow): Promise<void> | null => {
    reader.addRow(row);
    onRows(++numRows, total);
    return breath.take();
  };
  if (rows === null) reader.addText(decodeUtf8(content.bytes, content.file), content.file);
  else if (Symbol.asyncIterator in rows) for await (const row of rows) await addRow(row);
  else {
    for (const row of rows) {
      const taken = addRow(row);
      if (taken !== null) await taken;
    }
  }
  return reader.counts;
}
