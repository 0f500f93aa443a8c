/** @file Reads data sets from paths of the disk, or from rows in memory. All faulty rows of all files are reported in one error. */
import { z } from "zod";
import type { TrainingUnit } from "./examples/training-unit.ts";
import type { Columns } from "./rows/columns.ts";
import type { DataKindName, DataUnits } from "./examples/data-kinds.ts";
import { type DataReport, sumCounts } from "./reports/data-report.ts";
import {
  A_FUNCTION,
  A_NAME,
  A_SIGNAL,
  AN_AMOUNT,
  AN_ENVIRONMENT,
  ANYTHING,
  checkArguments,
  lazily,
} from "../messages/arguments.ts";
import { type DataPart, DATASET_OPTIONS, IN_MEMORY, requireExamples } from "./dataset.ts";
import type { Example } from "./examples/example.ts";
import { FILE_KINDS } from "./formats/file-kinds.ts";
import { type DataContent, hashBytes, openContent } from "./files/data-content.ts";
import { rowLine } from "./rows/row-line.ts";
import { findDataFiles } from "./files/data-folder.ts";
import { type ReadOptions, readFiles } from "./files/read-files.ts";
import { readLabels } from "./files/read-labels.ts";

/** A file, a folder, or rows in memory. */
export type DataName = string | readonly unknown[];

/** A data set; a part without files is null. */
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

const PARTS = ["train", "valid", "test"] as const;

/**
 * Reads held-out data: a file, rows, or the validation files of a folder, else its test files, else all files.
 * @throws as `readDataset`
 */
export async function readHeldOut<K extends DataKindName = "text">(
  name: DataName,
  options: ReadOptions<K>,
): Promise<DataPart<DataUnits[K]>> {
  if (typeof name !== "string") {
    const part = await readFiles([contentOfRows(name)], options);
    requireExamples([IN_MEMORY], part.report, options);
    return part;
  }
  const { train, valid, test, skipped } = findDataFiles(name, PARTS);
  for (const note of skipped) options.onSkipped?.(note);
  const part = await readFiles([valid, test, train].find(({ length }) => length > 0) ?? [], options);
  requireExamples([name], part.report, options);
  return part;
}

/** Reads training data: a file, rows, or only the training files of a folder. @throws as `readDataset` */
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
      origin: ANYTHING,
      signal: A_SIGNAL.optional(),
      onProgress: A_FUNCTION.optional(),
      onFile: A_FUNCTION.optional(),
      onSkipped: A_FUNCTION.optional(),
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

/** Reads several data sets; `parts` are those to read from folders. @throws as `readDataset`, once for all */
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
      reports: { train: train!.report, valid: valid?.report ?? null, test: test?.report ?? null },
    };
  });
}

/** The parts read from a data set, with the files of each. */
type DataSet<K extends DataKindName> = Partial<
  Record<(typeof PARTS)[number], DataPart<DataUnits[K]> & { readonly files: readonly string[] }>
>;

async function readParts<K extends DataKindName>(
  name: DataName,
  options: ReadOptions<K>,
  parts: readonly (typeof PARTS)[number][],
): Promise<DataSet<K>> {
  if (typeof name !== "string")
    return { train: { ...(await readFiles([contentOfRows(name)], options)), files: [IN_MEMORY] } };
  const found = findDataFiles(name);
  for (const note of found.skipped) options.onSkipped?.(note);
  const set: DataSet<K> = {};
  for (const part of parts) {
    const files = found[part];
    if (files.length > 0) set[part] = { ...(await readFiles(files, options)), files };
  }
  return set;
}

/** Reads the distinct labels of the training rows. @throws as `readDatasets`, except for faults of rows */
export async function readLabelSet(
  names: readonly DataName[],
  columns: Columns,
): Promise<ReadonlySet<string | number>> {
  const labels = new Set<string | number>();
  for (const name of names) {
    const files = typeof name === "string" ? findDataFiles(name).train : [contentOfRows(name)];
    for (const file of files)
      await readLabels(
        typeof file === "string" ? await openContent(file, { orFolder: true }) : file,
        columns,
        labels,
      );
  }
  return labels;
}

/** Writes rows in memory as lines of a file. */
function contentOfRows(rows: readonly unknown[]): DataContent {
  const text = rows.map((row, i) => `${rowLine(row, i)}\n`).join("");
  const [lines] = FILE_KINDS;
  const bytes = new TextEncoder().encode(text);
  return { bytes, sha256: hashBytes(bytes), file: IN_MEMORY, kind: lines!.name };
}
