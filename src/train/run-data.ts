/** @file What a run trains and is evaluated on: text as tokens, or images, as the model reads them. */
import type { TrainingUnit } from "../data/batch.ts";
import { type ClassOptions, readClassNames } from "../data/class-example.ts";
import type { DataKindName } from "../data/data-kinds.ts";
import { type DatasetOptions } from "../data/dataset.ts";
import { isThere, readDataFile, readDataset, readImageFile, readImages } from "../data/by-path.ts";
import type { DataSource } from "../data/order.ts";
import { openTextTools } from "../data/text-tools.ts";
import { type WeightedName, readWeightedName } from "../data/weighted-name.ts";
import { UsageError } from "../errors.ts";
import type { TokenizerFiles } from "../format/checkpoint/checkpoint.ts";
import type { Model } from "../models/model.ts";
import { requireReadable } from "./checks.ts";
import type { Objective } from "./objective.ts";
import type { TrainOptions } from "./options.ts";

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
  /** Of the template that the examples were written with; null: none. */
  readonly chatTemplateHash: string | null;
}

/** Reads the data of a run. @throws FormatError and UsageError for data, tokenizer and settings that do not fit the model */
export function readRunData(
  options: TrainOptions,
  model: Model,
  objective: Objective,
  tokenizerFiles: TokenizerFiles | null,
): RunData {
  requireTask(model, objective);
  return model.image
    ? readImageData(options, model)
    : readTextData(options, model, objective, tokenizerFiles);
}

/** Refuses an objective that is not for what the model is for. @throws UsageError "usage/flag" */
function requireTask({ task }: Model, { name, rows }: Objective): void {
  const wantsClasses = task !== "causal-lm";
  if (wantsClasses === (rows === "classes")) return;
  throw new UsageError(
    "usage/flag",
    `Cannot use objective "${name}": the model is for ${task}, expected an objective ${wantsClasses ? "of classes" : "of texts"}`,
    {
      hint: wantsClasses
        ? "Leave the objective out."
        : "Choose another objective, or give the base a head of classes first: save transformers' AutoModelForSequenceClassification.from_pretrained(base, num_labels=…).",
    },
  );
}

/** The data sets to train on, each with how often an epoch goes through it. */
function namesOf({ data }: TrainOptions): WeightedName[] {
  return [data].flat().map((text) => readWeightedName(text, isThere));
}

function readImageData(options: TrainOptions, model: Model): RunData {
  if (options.packing) {
    throw new UsageError("usage/flag", "Cannot pack images: each takes a row of its own", {
      hint: "Leave packing out.",
    });
  }
  const names = namesOf(options);
  const sets = names.map(({ path }) => readImages(path, model));
  const heldOut = sets.flatMap((set) => set.heldOut ?? []);
  return {
    train: sets.flatMap(({ train }) => train),
    sources: sets.map(({ train }, i) => ({ numExamples: train.length, weight: names[i]!.weight })),
    heldOut:
      options.evalData === undefined
        ? heldOut.length > 0
          ? heldOut
          : null
        : readImageFile(options.evalData, model),
    chatTemplateHash: null,
    numTruncated: 0,
    numDropped: 0,
  };
}

function readTextData(
  options: TrainOptions,
  model: Model,
  objective: Objective,
  tokenizerFiles: TokenizerFiles | null,
): RunData {
  const { tokenizer, template } = openTextTools(options.model, tokenizerFiles);
  if (options.maxLength > model.maxPositions) {
    throw new UsageError(
      "usage/flag",
      `Cannot train on ${options.maxLength} tokens: the model has ${model.maxPositions} positions`,
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
  const how: DatasetOptions<DataKindName> = {
    tokenizer,
    template,
    maxLength: options.maxLength,
    trainOn: options.trainOn,
    kind: objective.rows,
    ...classesOf(model),
  };
  const names = namesOf(options);
  const sets = names.map(({ path }) => readDataset<DataKindName>(path, how));
  const train = sets.flatMap((set) => set.train);
  const valid = sets.flatMap((set) => set.valid ?? []);
  const heldOut =
    options.evalData === undefined
      ? valid.length > 0
        ? valid
        : null
      : readDataFile<DataKindName>(options.evalData, how).examples;
  requireReadable(train, model);
  if (heldOut) requireReadable(heldOut, model);
  const [numTruncated, numDropped] = (["numTruncated", "numDropped"] as const).map((key) =>
    sets.reduce((sum, { reports }) => sum + reports.train[key], 0),
  ) as [number, number];
  const sources = sets.map((set, i) => ({ numExamples: set.train.length, weight: names[i]!.weight }));
  return { train, sources, heldOut, numTruncated, numDropped, chatTemplateHash: template.hash };
}

/** The classes of a model, and where it tells them; nothing for one that has none. */
export function classesOf({ classPosition, numOutputs, raw }: Model): { readonly classes?: ClassOptions } {
  if (classPosition === null) return {};
  const names = readClassNames(raw) ?? Array.from({ length: numOutputs }, (_, i) => `LABEL_${i}`);
  return { classes: { names, readAt: classPosition } };
}
