/**
 * @file Examples of a data set, from the text of its files: .jsonl, .json or .txt.
 *
 * A .txt file becomes consecutive windows of maxLength tokens in file order, loss on all. Examples longer than maxLength
 * are cut, dropped or refused as `overlong` says, and counted. All faulty rows of a file are named in one error. What rows
 * are looked for and what they become is a matter of the kind of data.
 */
import { UsageError } from "../errors.ts";
import { exampleLength, sequencesOf, type TrainingUnit } from "./batch.ts";
import {
  DATA_KINDS,
  type DataKind,
  type DataKindName,
  type DataUnits,
  type UnitOptions,
} from "./data-kinds.ts";
import { reportOn, type DataReport } from "./data-report.ts";
import { makeExample, type Example, type ExampleSource } from "./example.ts";
import { describeSource, parseJsonArray, parseJsonLines } from "./row-file.ts";

export const OVERLONG = ["truncate", "drop", "error"] as const;

/** What becomes of examples longer than maxLength. */
export type Overlong = (typeof OVERLONG)[number];

/** How a data set is read. */
export interface DatasetOptions<K extends DataKindName = "text"> extends UnitOptions {
  /** "text" unless given. */
  readonly kind?: K;
  /** "truncate" unless given. */
  readonly overlong?: Overlong;
}

/** Examples of one file, and what reading them did. */
export interface DataPart<U extends TrainingUnit = Example> {
  readonly examples: readonly U[];
  readonly report: DataReport;
}

/** How the names of files end that hold examples, the likeliest first. */
export const DATA_ENDINGS = [".jsonl", ".json", ".txt"] as const;
const MAX_NAMED_ROWS = 10;

/** Cuts the text into windows of maxLength tokens; a last one of at least two tokens is kept. */
function readWindows(text: string, file: string, { tokenizer, maxLength }: UnitOptions): Example[] {
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const windows: Example[] = [];
  for (let start = 0; ids.length - start >= 2; start += maxLength) {
    windows.push(makeExample(ids.slice(start, start + maxLength), () => true, { file, line: 1 }));
  }
  return windows;
}

/** Applies `overlong` to one example, or what is compared; null when it is dropped. */
function fitUnit<U extends TrainingUnit>(
  unit: U,
  kind: DataKind<U>,
  options: DatasetOptions<DataKindName>,
): U | null {
  const { maxLength, overlong = "truncate" } = options;
  const longest = Math.max(...sequencesOf(unit).map(exampleLength));
  if (longest <= maxLength) return unit;
  if (overlong === "error") {
    throw new UsageError(
      "usage/data",
      `Cannot use example: ${longest} tokens, expected at most ${maxLength}`,
      { hint: "Raise the maximum length, or have long examples truncated or dropped." },
    );
  }
  if (overlong === "drop") return null;
  return kind.fit(unit, options);
}

/** Joins the faults of all rows into one error with the code and hint of the first. */
function throwFaults(path: string, faults: readonly { source: ExampleSource; error: UsageError }[]): void {
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

/**
 * Reads the examples of one file; the end of its name, `path`, says how `text` is read.
 * @throws format/json, usage/data, usage/chat-template, naming file and line
 */
export function readExamples<K extends DataKindName = "text">(
  text: string,
  path: string,
  options: DatasetOptions<K>,
): DataPart<DataUnits[K]> {
  type Unit = DataUnits[K];
  const name: DataKindName = options.kind ?? "text";
  const kind = DATA_KINDS[name] as DataKind<Unit>;
  const kept: Unit[] = [];
  let numTruncated = 0;
  let numDropped = 0;
  if (path.endsWith(".txt")) {
    if (name !== "text") throw noRows(path, kind);
    kept.push(...(readWindows(text, path, options) as Unit[]));
  } else {
    const rows = path.endsWith(".json") ? parseJsonArray(text, path) : parseJsonLines(text, path);
    const faults: { source: ExampleSource; error: UsageError }[] = [];
    for (const { value, source } of rows) {
      try {
        const unit = kind.toUnit(value, options, source);
        const fitting = fitUnit(unit, kind, options);
        if (fitting === null || !kind.isUseful(fitting)) numDropped++;
        else {
          kept.push(fitting);
          if (fitting !== unit) numTruncated++;
        }
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
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

function noRows(path: string, kind: DataKind<unknown>): UsageError {
  return new UsageError(
    "usage/data",
    `Cannot use data set "${path}": plain text, expected rows ${kind.forms.map(({ keys }) => keys).join(" or ")}`,
    { hint: "Name a .jsonl or .json file." },
  );
}
