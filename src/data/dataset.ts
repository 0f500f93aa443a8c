/**
 * @file Reads a data set: a .jsonl, .json or .txt file, or a folder with train, valid and test files.
 *
 * A .txt file becomes consecutive windows of maxLength tokens in file order, loss on all. Examples longer than maxLength
 * are cut, dropped or refused as `overlong` says, and counted. All faulty rows of a file are named in one error.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { GraftError, UsageError } from "../errors.ts";
import { reportOn, type DataReport } from "./data-report.ts";
import {
  countTrained,
  makeExample,
  toExample,
  type Example,
  type ExampleOptions,
  type ExampleSource,
} from "./example.ts";
import { describeSource, parseJsonArray, parseJsonLines, readText } from "./row-file.ts";
import { readRow } from "./rows.ts";

export const OVERLONG = ["truncate", "drop", "error"] as const;

/** What becomes of examples longer than maxLength. */
export type Overlong = (typeof OVERLONG)[number];

/** How a data set is read. */
export interface DatasetOptions extends ExampleOptions {
  /** Tokens that an example may have. */
  readonly maxLength: number;
  /** "truncate" (cut at the end) unless given. */
  readonly overlong?: Overlong;
}

/** Examples of one file, and what reading them did. */
export interface DataPart {
  readonly examples: readonly Example[];
  readonly report: DataReport;
}

/** A data set; parts that there is no file for are null. */
export interface Dataset {
  readonly train: readonly Example[];
  readonly valid: readonly Example[] | null;
  readonly test: readonly Example[] | null;
  readonly reports: {
    readonly train: DataReport;
    readonly valid: DataReport | null;
    readonly test: DataReport | null;
  };
}

const EXTENSIONS = [".jsonl", ".json", ".txt"] as const;
const MAX_NAMED_ROWS = 10;

/** Cuts the text into windows of maxLength tokens; a last one of at least two tokens is kept. */
function readWindows(text: string, file: string, { tokenizer, maxLength }: DatasetOptions): Example[] {
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const windows: Example[] = [];
  for (let start = 0; ids.length - start >= 2; start += maxLength) {
    windows.push(makeExample(ids.slice(start, start + maxLength), () => true, { file, line: 1 }));
  }
  return windows;
}

/** Applies `overlong` to one example; null when it is dropped. */
function fitExample(example: Example, options: DatasetOptions): Example | null {
  const { maxLength, overlong = "truncate" } = options;
  if (example.ids.length <= maxLength) return example;
  if (overlong === "error") {
    throw new UsageError(
      "usage/data",
      `Cannot use example: ${example.ids.length} tokens, expected at most ${maxLength}`,
      { hint: "Raise the maximum length, or have long examples truncated or dropped." },
    );
  }
  if (overlong === "drop") return null;
  return {
    ids: example.ids.slice(0, maxLength),
    trained: example.trained.slice(0, maxLength),
    source: example.source,
  };
}

/** Joins the faults of all rows into one error with the code and hint of the first. */
function throwFaults(path: string, faults: readonly { source: ExampleSource; error: GraftError }[]): void {
  const first = faults[0];
  if (first === undefined) return;
  const named = faults
    .slice(0, MAX_NAMED_ROWS)
    .map(({ source, error }) => `  ${describeSource(source)}: ${error.message}`);
  const numMore = faults.length - named.length;
  if (numMore > 0) named.push(`  and ${numMore} more`);
  const count = faults.length === 1 ? "1 faulty row" : `${faults.length} faulty rows`;
  throw new UsageError(first.error.code, `Cannot use data set "${path}": ${count}\n${named.join("\n")}`, {
    ...(first.error.hint === null ? {} : { hint: first.error.hint }),
    cause: first.error,
  });
}

/** Reads one file. @throws format/file, format/json, usage/data, usage/chat-template */
export function readDataFile(path: string, options: DatasetOptions): DataPart {
  const text = readText(path);
  const kept: Example[] = [];
  let numTruncated = 0;
  let numDropped = 0;
  if (path.endsWith(".txt")) {
    kept.push(...readWindows(text, path, options));
  } else {
    const rows = path.endsWith(".json") ? parseJsonArray(text, path) : parseJsonLines(text, path);
    const faults: { source: ExampleSource; error: GraftError }[] = [];
    for (const { value, source } of rows) {
      try {
        const example = toExample(readRow(value), options, source);
        const fitting = fitExample(example, options);
        if (fitting === null || countTrained(fitting) === 0) numDropped++;
        else {
          kept.push(fitting);
          if (fitting !== example) numTruncated++;
        }
      } catch (error) {
        if (!(error instanceof GraftError)) throw error;
        faults.push({ source, error });
      }
    }
    throwFaults(path, faults);
  }
  if (kept.length === 0) {
    const found =
      numDropped === 0
        ? "no examples"
        : `all ${numDropped} examples were dropped at ${options.maxLength} tokens`;
    throw new UsageError("usage/data", `Cannot use data set "${path}": ${found}, expected at least one`, {
      hint: numDropped === 0 ? "Put rows into the file." : "Raise the maximum length.",
    });
  }
  return { examples: kept, report: reportOn(kept, numTruncated, numDropped) };
}

/** Finds the file of one part in a folder; null when there is none. */
function findPart(folder: string, names: readonly string[]): string | null {
  const paths = names.flatMap((name) => EXTENSIONS.map((extension) => join(folder, name + extension)));
  return paths.find((path) => existsSync(path)) ?? null;
}

/**
 * Reads a data set from a file or folder.
 *
 * @throws format/file, format/json, usage/data, usage/chat-template, each naming the file and line
 */
export function readDataset(path: string, options: DatasetOptions): Dataset {
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  const trainPath = isFolder ? findPart(path, ["train"]) : path;
  if (trainPath === null) {
    throw new UsageError(
      "usage/data",
      `Cannot read data set "${path}": the folder has no training file, expected train.jsonl, train.json or train.txt`,
      { hint: "Name the file itself, or rename it." },
    );
  }
  const validPath = isFolder ? findPart(path, ["valid", "validation"]) : null;
  const testPath = isFolder ? findPart(path, ["test"]) : null;
  const train = readDataFile(trainPath, options);
  const valid = validPath === null ? null : readDataFile(validPath, options);
  const test = testPath === null ? null : readDataFile(testPath, options);
  return {
    train: train.examples,
    valid: valid?.examples ?? null,
    test: test?.examples ?? null,
    reports: { train: train.report, valid: valid?.report ?? null, test: test?.report ?? null },
  };
}
