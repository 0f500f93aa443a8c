/**
 * @file Data sets of texts by paths of the disk, or in memory. All faulty rows of all files are told in one error.
 *
 * Large files are read in a thread and kept in the cache, where the caller says what tokenizer and template were made of:
 * a thread has to make them anew. Small ones are read at once, as starting a thread would take longer.
 */
import { z } from "zod";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../environment.ts";
import { homeFolderOf } from "../hub/models-folder.ts";
import type { TrainingUnit } from "./examples/training-unit.ts";
import type { Columns } from "./rows/columns.ts";
import type { DataKindName, DataUnits } from "./examples/data-kinds.ts";
import { type DataReport, reportOn, type RowCounts, sumCounts } from "./reports/data-report.ts";
import {
  A_FUNCTION,
  A_NAME,
  A_SIGNAL,
  AN_AMOUNT,
  AN_ENVIRONMENT,
  checkArguments,
  lazily,
} from "../messages/arguments.ts";
import {
  type DataPart,
  DATASET_OPTIONS,
  type DatasetOptions,
  IN_MEMORY,
  requireExamples,
} from "./dataset.ts";
import type { Example } from "./examples/example.ts";
import { FILE_KINDS, findFileKind, withoutCompression } from "./formats/file-kinds.ts";
import { type DataContent, hashBytes, openContent, readContent } from "./files/data-content.ts";
import { findDataFiles } from "./files/data-folder.ts";
import { type ReadUnits, readInThread } from "./files/read-in-thread.ts";
import { readLabels } from "./files/read-labels.ts";
import { cacheKey, readCached, writeCached } from "./files/unit-cache.ts";
import { unpackUnits } from "./examples/packed-units.ts";
import type { ToolsOrigin } from "./chat/text-tools.ts";

/** A file, a folder, or rows in memory. */
export type DataName = string | readonly unknown[];

/** How far reading a file is. */
export interface ReadingProgress {
  readonly file: string;
  readonly numRows: number;
  /** Null: not known before the end. */
  readonly totalRows: number | null;
}

/** How data sets are read from the disk. */
export interface ReadOptions<K extends DataKindName = "text"> extends DatasetOptions<K> {
  /** What tokenizer and template were made of; without it, all is read in this thread. */
  readonly origin?: ToolsOrigin;
  /** Stops reading: its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ReadingProgress) => void) | undefined;
  /** Folder of units of large files; that of graft's home in `env` unless given, null: none are kept. */
  readonly cacheFolder?: string | null;
  /** Environment to read settings from; the process's own by default. */
  readonly env?: Environment | undefined;
  /** Bytes from which a file is large. */
  readonly largeBytes?: number;
  /** Is told of each file that is read, and its SHA-256. */
  readonly onFile?: ((path: string, sha256: string) => void) | undefined;
}

/** A data set; parts that there is no file for are null. */
export interface Dataset<U extends TrainingUnit = Example> {
  readonly train: readonly U[];
  readonly valid: readonly U[] | null;
  readonly test: readonly U[] | null;
  readonly reports: {
    readonly train: DataReport;
    readonly valid: DataReport | null;
    readonly test: DataReport | null;
  };
}

/** About what a model's tokenizer does in a second. */
const LARGE_BYTES = 1 << 20;
/** How much smaller files are than the text in them. */
const PACKED_FACTOR = 4;
const PARTS = ["train", "valid", "test"] as const;

/** Whether a file or folder of this name exists. */
export function isThere(path: string): boolean {
  return existsSync(path);
}

/** Reads what is held out: a file, rows, or of a folder the validation files, else those for tests, else all. @throws as `readDataset` */
export async function readHeldOut<K extends DataKindName = "text">(
  name: DataName,
  options: ReadOptions<K>,
): Promise<DataPart<DataUnits[K]>> {
  if (typeof name !== "string") {
    const part = await readFiles([contentOf(name)], options);
    requireExamples([IN_MEMORY], part.report, options);
    return part;
  }
  const { train, valid, test } = findDataFiles(name);
  const part = await readFiles([valid, test, train].find(({ length }) => length > 0) ?? [], options);
  requireExamples([name], part.report, options);
  return part;
}

/** Reads what is trained on: a file, rows, or of a folder the training files alone. @throws as `readDataset` */
export async function readTrained<K extends DataKindName = "text">(
  name: DataName,
  options: ReadOptions<K>,
): Promise<DataPart<DataUnits[K]>> {
  const [dataset] = await readDatasets([name], options, ["train"]);
  const { train, reports } = dataset!;
  return { examples: train, report: reports.train };
}

const ARGUMENTS = lazily(() =>
  z.strictObject({
    path: A_NAME,
    options: DATASET_OPTIONS.extend({
      signal: A_SIGNAL.optional(),
      onProgress: A_FUNCTION.optional(),
      onFile: A_FUNCTION.optional(),
      cacheFolder: A_NAME.nullish(),
      env: AN_ENVIRONMENT.optional(),
      largeBytes: AN_AMOUNT.optional(),
    }),
  }),
);

/**
 * Reads a data set from a file or folder.
 * @throws format/file, format/json, usage/data, usage/chat-template, each naming the file and line
 */
export async function readDataset<K extends DataKindName = "text">(
  path: string,
  options: ReadOptions<K>,
): Promise<Dataset<DataUnits[K]>> {
  checkArguments("readDataset", ARGUMENTS, { path, options });
  const [dataset] = await readDatasets([path], options);
  return dataset!;
}

/** Reads several data sets; `parts` are those that are wanted of folders. @throws as `readDataset`, once for all */
export async function readDatasets<K extends DataKindName = "text">(
  names: readonly DataName[],
  options: ReadOptions<K>,
  parts: readonly (typeof PARTS)[number][] = PARTS,
): Promise<Dataset<DataUnits[K]>[]> {
  const sets: DataSet<K>[] = [];
  for (const name of names) sets.push(await readParts(name, options, parts));
  const reports = sets.flatMap((set) => Object.values(set).map(({ report }) => report));
  const shown = names.map((name) => (typeof name === "string" ? name : IN_MEMORY));
  const numExamples = reports.reduce((sum, report) => sum + report.numExamples, 0);
  requireExamples(shown, { ...reports[0]!, ...sumCounts(reports), numExamples }, options);
  return sets.map(({ train, valid, test }, i) => {
    requireExamples([shown[i]!], train!.report, options);
    for (const part of [valid, test]) if (part) requireExamples(part.files, part.report, options);
    return {
      train: train!.examples,
      valid: valid?.examples ?? null,
      test: test?.examples ?? null,
      reports: {
        train: train!.report,
        valid: valid?.report ?? null,
        test: test?.report ?? null,
      },
    };
  });
}

/** What was read of a name, with the files of each part. */
type DataSet<K extends DataKindName> = Partial<
  Record<(typeof PARTS)[number], DataPart<DataUnits[K]> & { readonly files: readonly string[] }>
>;

async function readParts<K extends DataKindName>(
  name: DataName,
  options: ReadOptions<K>,
  parts: readonly (typeof PARTS)[number][],
): Promise<DataSet<K>> {
  if (typeof name !== "string")
    return { train: { ...(await readFiles([contentOf(name)], options)), files: [IN_MEMORY] } };
  const found = findDataFiles(name);
  const set: DataSet<K> = {};
  for (const part of parts) {
    const files = found[part];
    if (files.length > 0) set[part] = { ...(await readFiles(files, options)), files };
  }
  return set;
}

/** Reads the labels of the rows to train on, each once. @throws as `readDatasets`, but for faults of rows */
export async function readLabelSet(
  names: readonly DataName[],
  columns: Columns,
): Promise<ReadonlySet<string | number>> {
  const labels = new Set<string | number>();
  for (const name of names) {
    const files = typeof name === "string" ? findDataFiles(name).train : [contentOf(name)];
    for (const file of files)
      await readLabels(typeof file === "string" ? await openContent(file) : file, columns, labels);
  }
  return labels;
}

/** Rows in memory as if they were lines of a file. */
function contentOf(rows: readonly unknown[]): DataContent {
  const text = rows.map((row) => `${JSON.stringify(row) ?? "null"}\n`).join("");
  const [lines] = FILE_KINDS;
  const bytes = new TextEncoder().encode(text);
  return { bytes, sha256: hashBytes(bytes), file: IN_MEMORY, kind: lines!.name };
}

/** Reads files one after another into one part; faulty rows are counted in its report. */
async function readFiles<K extends DataKindName>(
  files: readonly (string | DataContent)[],
  options: ReadOptions<K>,
): Promise<DataPart<DataUnits[K]>> {
  const examples: DataUnits[K][] = [];
  const counts: RowCounts[] = [];
  for (const file of files) {
    const content = typeof file === "string" ? await openContent(file) : file;
    if (typeof file === "string") options.onFile?.(file, content.sha256);
    counts.push(await readOne(content, options, (unit) => void examples.push(unit)));
  }
  return { examples, report: reportOn(examples, sumCounts(counts)) };
}

async function readOne<K extends DataKindName>(
  content: DataContent,
  options: ReadOptions<K>,
  keep: (unit: DataUnits[K]) => void,
): Promise<RowCounts> {
  const {
    origin,
    signal,
    onProgress,
    cacheFolder,
    env = process.env,
    largeBytes = LARGE_BYTES,
    onFile: _,
    ...how
  } = options;
  signal?.throwIfAborted();
  if (origin === undefined || sizeOf(content) < largeBytes)
    return await readContent(content, how, keep, () => signal?.throwIfAborted());
  const { tokenizer: _tokenizer, template: _template, ...plain } = how;
  const job = { content, origin, options: plain };
  const folder = cacheFolder === undefined ? join(homeFolderOf(env), "data") : cacheFolder;
  const key = folder === null ? null : cacheKey(job);
  let read: ReadUnits | null = folder === null ? null : await readCached(folder, key!);
  if (read === null) {
    const onRows = (numRows: number, totalRows: number | null): void =>
      onProgress?.({ file: content.file, numRows, totalRows });
    read = await readInThread(job, { signal, onRows });
    if (folder !== null) await writeCached(folder, key!, read);
  }
  for (const packed of read.packed)
    for (const unit of unpackUnits(packed, content.file)) keep(unit as DataUnits[K]);
  return withFile(read.counts, content.file);
}

/** Bytes of the text that content makes. */
function sizeOf({ bytes, file }: DataContent): number {
  const kind = findFileKind(file);
  const isPacked =
    (kind !== null && kind.parse === null && kind.parseBytes !== null) || withoutCompression(file) !== file;
  return isPacked && file !== IN_MEMORY ? bytes.length * PACKED_FACTOR : bytes.length;
}

/** The same content may be in a file of another name. */
function withFile(counts: RowCounts, file: string): RowCounts {
  const faults = counts.faults.map((fault) => ({
    ...fault,
    places: fault.places.map(({ line }) => ({ file, line })),
  }));
  return { ...counts, faults };
}
