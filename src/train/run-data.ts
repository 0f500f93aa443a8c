/** @file What a run trains and is evaluated on: text as tokens, or images, as the model reads them. */
import type { TrainingExample } from "../data/batch.ts";
import { readDataFile, readDataset } from "../data/dataset.ts";
import { readImageFile, readImages } from "../data/images.ts";
import { openTextTools } from "../data/text-tools.ts";
import { UsageError } from "../errors.ts";
import type { TokenizerFiles } from "../format/checkpoint/checkpoint.ts";
import type { ModelConfig } from "../models/architecture.ts";
import { requireKnownIds } from "./checks.ts";
import type { TrainOptions } from "./options.ts";

/** Examples of a run. */
export interface RunData {
  readonly train: readonly TrainingExample[];
  /** Null: nothing to evaluate on. */
  readonly heldOut: readonly TrainingExample[] | null;
  /** Of the template that the examples were written with; null: none. */
  readonly chatTemplateHash: string | null;
  /** Sentences that the caller should see. */
  readonly notes: readonly string[];
}

/** Reads the data of a run. @throws FormatError and UsageError for data, tokenizer and settings that do not fit the model */
export function readRunData(
  options: TrainOptions,
  config: ModelConfig,
  tokenizerFiles: TokenizerFiles | null,
): RunData {
  return config.image ? readImageData(options, config) : readTextData(options, config, tokenizerFiles);
}

function readImageData(options: TrainOptions, config: ModelConfig): RunData {
  if (options.packing) {
    throw new UsageError("usage/flag", "Cannot pack images: each takes a row of its own", {
      hint: "Leave packing out",
    });
  }
  const { train, heldOut } = readImages(options.data, config);
  return {
    train,
    heldOut: options.evalData === undefined ? heldOut : readImageFile(options.evalData, config),
    chatTemplateHash: null,
    notes: [],
  };
}

function readTextData(
  options: TrainOptions,
  config: ModelConfig,
  tokenizerFiles: TokenizerFiles | null,
): RunData {
  const { tokenizer, template } = openTextTools(options.model, tokenizerFiles);
  if (options.maxLength > config.maxPositions) {
    throw new UsageError(
      "usage/flag",
      `Cannot train on ${options.maxLength} tokens: the model has ${config.maxPositions} positions`,
      { hint: `Choose a max length of at most ${config.maxPositions}` },
    );
  }
  const how = { tokenizer, template, maxLength: options.maxLength, trainOn: options.trainOn };
  const dataset = readDataset(options.data, how);
  const heldOut =
    options.evalData === undefined ? dataset.valid : readDataFile(options.evalData, how).examples;
  requireKnownIds(dataset.train, config.vocabSize);
  const { numTruncated, numDropped } = dataset.reports.train;
  const notes = [
    ...(numTruncated > 0 ? [`${numTruncated} examples were cut to ${options.maxLength} tokens`] : []),
    ...(numDropped > 0
      ? [`${numDropped} examples were left out: nothing to learn within ${options.maxLength} tokens`]
      : []),
  ];
  return { train: dataset.train, heldOut, chatTemplateHash: template.hash, notes };
}
