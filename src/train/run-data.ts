/** @file What a run trains and is evaluated on: text as tokens, or images, as the model reads them. */
import type { Environment } from "../environment.ts";
import type { TrainingUnit } from "../data/examples/training-unit.ts";
import {
  type DataName,
  type Dataset,
  isThere,
  readDatasets,
  readHeldOut,
  type ReadingProgress,
  type ReadOptions,
} from "../data/by-path.ts";
import { unnamedClasses } from "../data/examples/class-names.ts";
import { type ClassOptions, readClassNames } from "../data/examples/class-example.ts";
import { readColumns } from "../data/rows/columns.ts";
import type { DataKindName } from "../data/examples/data-kinds.ts";
import { readImageFile, readImages } from "../data/files/image-files.ts";
import { drawHeldOut } from "../data/batches/held-out.ts";
import type { DataSource } from "../data/batches/order.ts";
import { notePlainPrompts, noteTroubles, noteUnshown } from "../data/reports/report-notes.ts";
import { sumCounts } from "../data/reports/data-report.ts";
import { openTextTools } from "../data/chat/text-tools.ts";
import { readWeightedName } from "../data/weighted-name.ts";
import { FailedError, UsageError } from "../errors.ts";
import type { TokenizerFiles } from "../format/checkpoint/checkpoint.ts";
import type { Model } from "../models/model.ts";
import { Sha256 } from "../format/files/sha256.ts";
import { requireReadable } from "./checks.ts";
import type { Objective } from "./objective.ts";
import type { TrainOptions } from "./settings/options.ts";

/** Examples of a run. */
export interface RunData {
  readonly train: readonly TrainingUnit[];
  /** Where the examples are from, in their order, and how often each is drawn. */
  readonly sources: readonly DataSource[];
  /** Null: nothing to evaluate on. */
  readonly heldOut: readonly TrainingUnit[] | null;
  /** Examples to train on that were cut. */
  readonly numTruncated: number;
  /** Examples to train on that were left out, as nothing to learn was left. */
  readonly numDropped: number;
  /** SHA-256 of the files that were read, by their paths; of images none. */
  readonly fileHashes: ReadonlyMap<string, string>;
  /** Of the template that the examples were written with; null: none. */
  readonly chatTemplateHash: string | null;
  /** Sentences that the caller should see. */
  readonly notes: readonly string[];
}

/** How a caller follows and stops the reading of data. */
export interface ReadingHooks {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ReadingProgress) => void) | undefined;
  /** Environment that says where models and data are kept; the process's own by default. */
  readonly env?: Environment | undefined;
}

/** Reads the data of a run. @throws FormatError and UsageError for data, tokenizer and settings that do not fit the model; FailedError "train/stopped" */
export async function readRunData(
  options: TrainOptions,
  model: Model,
  objective: Objective,
  tokenizerFiles: TokenizerFiles | null,
  hooks: ReadingHooks,
): Promise<RunData> {
  requireTask(model, objective);
  requireOneHeldOut(options, false);
  try {
    const data = model.image
      ? readImageData(options, model)
      : await readTextData(options, model, objective, tokenizerFiles, hooks);
    return options.evalShare === undefined ? data : holdOut(data, options.evalShare, options);
  } catch (cause) {
    if (hooks.signal?.aborted !== true || cause !== hooks.signal.reason) throw cause;
    throw new FailedError("train/stopped", "Cannot train: the run was stopped while its data were read", {
      hint: "Start the same command again.",
      cause,
    });
  }
}

/** Moves a share of the examples out of training. @throws UsageError "usage/flag" */
function holdOut(data: RunData, share: number, options: TrainOptions): RunData {
  requireOneHeldOut(options, data.heldOut !== null);
  const drawn = drawHeldOut(data.train, share, options.seed);
  if (drawn.heldOut.length === 0) {
    throw new UsageError("usage/flag", "Cannot hold out a share of the data: all examples are the same", {
      hint: "Leave the share out, or give other data.",
    });
  }
  const isKept = new Set(drawn.train);
  let first = 0;
  const sources = data.sources.flatMap(({ numExamples, weight }) => {
    const start = first;
    first += numExamples;
    const numKept = drawn.train.filter((i) => i >= start && i < first).length;
    return numKept > 0 ? [{ numExamples: numKept, weight }] : [];
  });
  return {
    ...data,
    train: data.train.filter((_, i) => isKept.has(i)),
    sources,
    heldOut: drawn.heldOut.map((i) => data.train[i]!),
  };
}

/** Refuses two answers to the question what is held out. @throws UsageError "usage/flag" */
function requireOneHeldOut({ evalShare, evalData }: TrainOptions, hasFiles: boolean): void {
  if (evalShare === undefined || (evalData === undefined && !hasFiles)) return;
  throw new UsageError(
    "usage/flag",
    `Cannot hold out a share of the data: ${hasFiles ? "the folder has held-out files" : "held-out data are given too"}, expected one of them`,
    { hint: "Leave the share out." },
  );
}

/** Refuses an objective that is not for what the model is for. @throws UsageError "usage/flag" */
function requireTask({ task }: Model, { name, rows }: Objective): void {
  const wantsClasses = task !== "causal-lm";
  if (wantsClasses === (rows === "classes")) return;
  throw new UsageError(
    "usage/flag",
    `Cannot use objective "${name}": the model is for ${task}, expected an objective ${wantsClasses ? "of classes" : "of texts"}`,
    {
      hint: wantsClasses ? "Leave the objective out." : "Choose another objective.",
    },
  );
}

/** The data sets to train on, each with how often an epoch goes through it. */
export function namesOf({ data }: TrainOptions): { readonly name: DataName; readonly weight: number }[] {
  if (areRows(data)) return [{ name: data, weight: 1 }];
  return [data].flat().map((text) => {
    const { path, weight } = readWeightedName(text, isThere);
    return { name: path, weight };
  });
}

/** Says which rows a run was given, by what they are. */
export function describeRows(rows: readonly object[]): string {
  const hash = new Sha256();
  for (const row of rows) hash.update(`${JSON.stringify(row)}\n`);
  return `${rows.length} rows in memory, sha256 ${hash.digest()}`;
}

/** Whether data are rows, and not names of files. */
export function areRows(data: TrainOptions["data"] | TrainOptions["evalData"]): data is readonly object[] {
  return typeof data === "object" && typeof data[0] === "object";
}

function joinHeldOut<U>(sets: readonly (readonly U[] | null)[]): readonly U[] | null {
  const all = sets.flatMap((units) => units ?? []);
  return all.length > 0 ? all : null;
}

function sourcesOf(
  sets: readonly { readonly train: readonly unknown[] }[],
  names: readonly { readonly weight: number }[],
): DataSource[] {
  return sets.map(({ train }, i) => ({ numExamples: train.length, weight: names[i]!.weight }));
}

function readImageData(options: TrainOptions, model: Model): RunData {
  if (options.packing) {
    throw new UsageError("usage/flag", "Cannot pack images: each takes a row of its own", {
      hint: "Leave packing out.",
    });
  }
  const names = namesOf(options);
  const { evalData } = options;
  if (areRows(options.data) || areRows(evalData)) {
    throw new UsageError("usage/data", "Cannot train on rows: the model reads images", {
      hint: "Name IDX files, or a folder with such.",
    });
  }
  const sets = names.map(({ name }) => readImages(name as string, model));
  return {
    train: sets.flatMap(({ train }) => train),
    sources: sourcesOf(sets, names),
    heldOut:
      evalData === undefined
        ? joinHeldOut(sets.map(({ heldOut }) => heldOut))
        : readImageFile(evalData, model),
    fileHashes: new Map(),
    chatTemplateHash: null,
    numTruncated: 0,
    numDropped: 0,
    notes: [],
  };
}

async function readTextData(
  options: TrainOptions,
  model: Model,
  objective: Objective,
  tokenizerFiles: TokenizerFiles | null,
  hooks: ReadingHooks,
): Promise<RunData> {
  const { maxLength, evalData } = options;
  const tools = openTextTools(options.model, tokenizerFiles);
  if (maxLength > model.maxPositions) {
    throw new UsageError(
      "usage/flag",
      `Cannot train on ${maxLength} tokens: the model has ${model.maxPositions} positions`,
      { hint: `Choose a max length of at most ${model.maxPositions}.` },
    );
  }
  if (options.packing && (objective.rows === "preference" || objective.rows === "unpaired")) {
    throw new UsageError(
      "usage/flag",
      `Cannot pack rows for objective "${objective.name}": what is compared stays together`,
      { hint: "Leave packing out." },
    );
  }
  const fileHashes = new Map<string, string>();
  const how: ReadOptions<DataKindName> = {
    ...tools,
    ...hooks,
    onFile: (path, sha256) => void fileHashes.set(path, sha256),
    maxLength,
    trainOn: options.trainOn,
    kind: objective.rows,
    columns: readColumns(options.columns),
    ...(options.skipFaulty === undefined ? {} : { skipFaulty: options.skipFaulty }),
    ...classesOf(model),
  };
  const names = namesOf(options);
  const wanted = evalData === undefined ? (["train", "valid"] as const) : (["train"] as const);
  const sets: Dataset<TrainingUnit>[] = await readDatasets<DataKindName>(
    names.map(({ name }) => name),
    how,
    wanted,
  );
  const given = evalData === undefined ? null : await readHeldOut<DataKindName>(evalData, how);
  const train = sets.flatMap((set) => set.train);
  const heldOut = given ? given.examples : joinHeldOut(sets.map(({ valid }) => valid));
  requireReadable(train, model);
  if (heldOut) requireReadable(heldOut, model);
  const counts = sumCounts(sets.map(({ reports }) => reports.train));
  const heldOutReports = given ? [given.report] : sets.flatMap(({ reports }) => reports.valid ?? []);
  const heldOutCounts = { ...sumCounts(heldOutReports), numExamples: heldOut?.length ?? 0 };
  return {
    train,
    sources: sourcesOf(sets, names),
    heldOut,
    numTruncated: counts.numTruncated,
    numDropped: counts.numDropped,
    fileHashes,
    chatTemplateHash: tools.template.hash,
    notes: [
      ...noteTroubles({ ...counts, numExamples: train.length }, maxLength),
      ...notePlainPrompts(counts, objective.rows),
      ...noteUnshown(counts),
      ...noteTroubles(heldOutCounts, maxLength, "held-out "),
    ].map((note) => `Warning: ${note}`),
  };
}

/** The classes of a model, and where it tells them; nothing for one that has none. */
export function classesOf({ classPosition, numOutputs, raw }: Model): { readonly classes?: ClassOptions } {
  if (classPosition === null) return {};
  const names = readClassNames(raw) ?? unnamedClasses(numOutputs);
  return { classes: { names, readAt: classPosition } };
}
