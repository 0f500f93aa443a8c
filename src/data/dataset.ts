/**
 * @file Examples of a data set, from the text of its files.
 *
 * Plain text becomes consecutive windows of maxLength tokens in file order, with loss on all. Examples longer than maxLength
 * are cut, dropped or refused, according to `overlong`, and counted. All faulty rows are reported in one error, or left out.
 * The kind of data defines the forms of rows and what they become.
 */
import { z } from "zod";
import type { ChatTemplate } from "./chat/chat-template.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";
import { UsageError } from "../errors.ts";
import {
  A_COUNT,
  A_NAME,
  ANYTHING,
  argument,
  checkArguments,
  objectWith,
  lazily,
} from "../messages/arguments.ts";
import { formatCountOf } from "../messages/numbers.ts";
import { exampleLength, sequencesOf, type TrainingUnit } from "./examples/training-unit.ts";
import { areNumbered, type Columns, renameColumns } from "./rows/columns.ts";
import {
  DATA_KINDS,
  type DataKind,
  type DataKindName,
  type DataUnits,
  type UnitOptions,
} from "./examples/data-kinds.ts";
import { type DataReport, reportOn, type RowCounts } from "./reports/data-report.ts";
import { type Example, type ExampleHooks, makeExample, TRAIN_ON } from "./examples/example.ts";
import { Faults } from "./reports/faults.ts";
import { FILE_KINDS, findFileKind, isPlainText } from "./formats/file-kinds.ts";
import type { ParsedRow, ParseOptions } from "./formats/parsed-row.ts";

const OVERLONG = ["truncate", "drop", "error"] as const;

/** What to do with examples longer than maxLength. */
type Overlong = (typeof OVERLONG)[number];

/** Options of reading a data set. */
export interface DatasetOptions<K extends DataKindName = "text"> extends Omit<
  UnitOptions,
  keyof ExampleHooks
> {
  /** Default: "text". */
  readonly kind?: K;
  /** Default: "truncate". */
  readonly overlong?: Overlong;
  /** Key in a form of rows → column of the data. */
  readonly columns?: Columns;
  /** Leave out and count faulty rows, instead of refusing the data set. */
  readonly skipFaulty?: boolean;
}

/** Checks the options that a caller passes. */
export const DATASET_OPTIONS = z.strictObject({
  tokenizer: objectWith<Tokenizer>(
    "a tokenizer, as createTokenizer() returns it",
    "encode",
    "decode",
    "bosId",
    "eosId",
  ),
  template: objectWith<ChatTemplate>(
    "a chat template, as createChatTemplate() returns it",
    "render",
    "source",
  ),
  maxLength: A_COUNT,
  trainOn: z.enum(TRAIN_ON).optional(),
  kind: z.enum(Object.keys(DATA_KINDS) as DataKindName[]).optional(),
  overlong: z.enum(OVERLONG).optional(),
  columns: argument<Columns>("a Map of columns by name", (value) => value instanceof Map).optional(),
  skipFaulty: z.boolean().optional(),
  classes: ANYTHING,
});
const ARGUMENTS = lazily(() => z.strictObject({ text: z.string(), path: A_NAME, options: DATASET_OPTIONS }));

/** The examples of one file, and a report on reading them. */
export interface DataPart<U extends TrainingUnit = Example> {
  readonly examples: readonly U[];
  readonly report: DataReport;
}

/** The name of rows in memory, in messages. */
export const IN_MEMORY = "data";

/** Makes units from rows, one by one, and counts what happens to them. */
export class UnitReader<K extends DataKindName = "text"> {
  readonly #faults = new Faults();
  #counts = { numTruncated: 0, numDropped: 0, numPlainPrompts: 0, numUnshown: 0, numLabelled: 0, longest: 0 };
  readonly #options: DatasetOptions<K>;
  readonly #kind: DataKind<DataUnits[K]>;
  readonly #keep: (unit: DataUnits[K]) => void;

  constructor(options: DatasetOptions<K>, keep: (unit: DataUnits[K]) => void) {
    this.#options = options;
    this.#kind = DATA_KINDS[options.kind ?? "text"] as DataKind<DataUnits[K]>;
    this.#keep = keep;
  }

  /** Counts of the rows so far. */
  get counts(): RowCounts {
    return { ...this.#counts, faults: this.#faults.kinds };
  }

  /** Reads one row; a faulty one is counted. */
  addRow(row: ParsedRow): void {
    const { source } = row;
    try {
      if ("fault" in row) throw row.fault;
      const { forms } = this.#kind;
      const value = renameColumns(row.value, this.#options.columns ?? new Map(), (named) =>
        forms.some((form) => form.matches(named)),
      );
      const found = { isPlain: false, isUnshown: false, isLabelled: false };
      const options = {
        ...this.#options,
        onPlainPrompt: () => void (found.isPlain = true),
        onUnshown: () => void (found.isUnshown = true),
        onLabelled: () => void (found.isLabelled = true),
      };
      this.#add(this.#kind.toUnit(value, options, source));
      if (found.isPlain) this.#counts.numPlainPrompts++;
      if (found.isUnshown) this.#counts.numUnshown++;
      if (found.isLabelled) this.#counts.numLabelled++;
    } catch (error) {
      this.#faults.add(source, error);
    }
  }

  /**
   * Cuts a text into windows of maxLength tokens; the last one is kept if it has at least two. Line ends of Windows become line
   * feeds, so that a model does not learn to write them.
   * @throws usage/data for kinds of data that need rows
   */
  addText(text: string, file: string): void {
    if (this.#kind !== (DATA_KINDS.text as DataKind<unknown>)) {
      throw new UsageError(
        "usage/data",
        `Cannot use data set "${file}": plain text, expected rows ${this.#kind.forms.map(({ keys }) => keys).join(" or ")}`,
        { hint: "Give a .jsonl or .json file." },
      );
    }
    const { tokenizer, maxLength } = this.#options;
    const ids = tokenizer.encode(text.replaceAll(/\r\n?/g, "\n"), { addSpecialTokens: false });
    for (let start = 0; ids.length - start >= 2; start += maxLength) {
      const window = makeExample(ids.slice(start, start + maxLength), () => true, { file, line: 1 });
      this.#keep(window as DataUnits[K]);
    }
  }

  /** Applies `overlong` to a unit. */
  #add(unit: DataUnits[K]): void {
    const { maxLength, overlong = "truncate" } = this.#options;
    const longest = Math.max(...sequencesOf(unit).map(exampleLength));
    const isLong = longest > maxLength;
    if (isLong && overlong === "error") {
      throw new UsageError(
        "usage/data",
        `Cannot use example: ${longest} tokens, expected at most ${maxLength}`,
        { hint: "Raise the maximum length, or have long examples truncated or dropped." },
      );
    }
    const fitting = isLong ? (overlong === "drop" ? null : this.#kind.fit(unit, this.#options)) : unit;
    this.#counts.longest = Math.max(this.#counts.longest, longest);
    if (fitting === null || !this.#kind.isUseful(fitting)) this.#counts.numDropped++;
    else if (fitting === unit) this.#keep(unit);
    else {
      this.#keep({ ...fitting, isCut: true });
      this.#counts.numTruncated++;
    }
  }
}

/** Options for parsing the rows of a file. */
export function rowParsing(
  { columns = new Map() }: Pick<DatasetOptions<DataKindName>, "columns">,
  onCount?: (numRows: number) => void,
): ParseOptions {
  return { hasNoHeader: areNumbered(columns), ...(onCount ? { onCount } : {}) };
}

/** Refuses faulty rows, unless they are left out, and data without any example. @throws as `readExamples` */
export function requireExamples(
  names: readonly string[],
  report: DataReport,
  { maxLength, skipFaulty = false }: Pick<DatasetOptions<DataKindName>, "maxLength" | "skipFaulty">,
): void {
  const faults = new Faults();
  faults.addAll(report.faults);
  (skipFaulty ? faults.late : faults).requireNone(names);
  if (report.numExamples > 0) return;
  const { numDropped, longest } = report;
  const [found, hint] =
    numDropped > 0
      ? longest > maxLength
        ? [
            `at ${maxLength} tokens, nothing to train on is left of its ${formatCountOf(numDropped, "example")}`,
            `The longest has ${longest} tokens: raise --max-length (maxLength in the library), as far as the model has positions, or shorten the texts.`,
          ]
        : [
            `no token of its ${formatCountOf(numDropped, "example")} counts in the loss`,
            "Choose what to train on with --train-on (trainOn in the library) and weights above 0; the first token of a text never counts.",
          ]
      : faults.numRows > 0
        ? [`all ${faults.numRows} rows are faulty`, faults.describe()[0] ?? ""]
        : ["no examples", "Put rows into the file."];
  const what = names.map((name) => `"${name}"`).join(", ");
  throw new UsageError("usage/data", `Cannot use data set ${what}: ${found}, expected at least one`, {
    hint,
  });
}

/**
 * Reads the examples of one file; the ending of its name, `path`, decides how `text` is read.
 * @throws format/json, format/file, usage/data, usage/chat-template, naming file and line
 */
export function readExamples<K extends DataKindName = "text">(
  text: string,
  path: string,
  options: DatasetOptions<K>,
): DataPart<DataUnits[K]> {
  checkArguments("readExamples", ARGUMENTS, { text, path, options });
  const examples: DataUnits[K][] = [];
  const reader = new UnitReader(options, (unit) => void examples.push(unit));
  const kind = findFileKind(path);
  if (kind !== null && isPlainText(kind)) reader.addText(text, path);
  else if (kind?.parse) for (const row of kind.parse(text, path, rowParsing(options))) reader.addRow(row);
  else {
    const readable = FILE_KINDS.filter((each) => each.parse !== null || isPlainText(each));
    const endings = readable.flatMap((each) => each.endings);
    throw new UsageError(
      "usage/data",
      `Cannot read data set "${path}" as text: its name has another ending, expected a name that ends in ${endings.join(", ")}`,
      { hint: "Give it the ending of its format." },
    );
  }
  const report = reportOn(examples, reader.counts);
  requireExamples([path], report, options);
  return { examples, report };
}
