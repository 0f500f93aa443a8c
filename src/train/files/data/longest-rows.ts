/** @file Rows for a plan without data: those of one step, each of the maximum length. */
import { DATA_KINDS } from "../../../data/examples/data-kinds.ts";
import type { TrainingUnit } from "../../../data/examples/training-unit.ts";
import type { RowSource } from "../../../data/formats/parsed-row.ts";
import type { ImageConfig } from "../../../models/family.ts";
import type { Model } from "../../../models/model.ts";
import { numElements } from "../../../graph/shape.ts";
import type { Objective } from "../../objective.ts";
import type { SizedOptions } from "../../settings/options.ts";
import { requireUnpacked } from "./image-data.ts";
import { requireTask } from "./read-run-data.ts";
import type { RunData } from "./run-data.ts";
import { requireFit } from "./text-data.ts";

/** Makes artificial rows for one step. @throws UsageError "usage/flag" for settings that do not fit the model */
export function longestRows(options: SizedOptions, model: Model, objective: Objective): RunData {
  const { maxLength, batchSize, gradientAccumulationSteps, evalData, evalShare } = options;
  requireTask(model, objective);
  if (model.image) requireUnpacked(options);
  else requireFit(options, model, objective);
  const makeRow = model.image ? imageMaker(model, model.image) : textMaker(maxLength, objective);
  const train = Array.from({ length: batchSize * gradientAccumulationSteps }, (_, i) =>
    makeRow({ file: "", line: i + 1 }),
  );
  const isEvaluated = evalData !== undefined || evalShare !== undefined;
  return {
    train,
    sources: [{ numExamples: train.length, weight: 1 }],
    heldOut: isEvaluated ? train.slice(0, 1) : null,
    numDropped: 0,
    fileHashes: new Map(),
    chatTemplateHash: null,
    tokenizerHash: null,
    notes: [`Without data, every row is assumed to have ${model.image ? "an image" : `${maxLength} tokens`}`],
    warnings: [],
  };
}

/** Returns a function that makes rows of a kind of data; all share their arrays. */
function textMaker(maxLength: number, { rows }: Objective): (source: RowSource) => TrainingUnit {
  const ids = new Int32Array(maxLength);
  const weights = new Float32Array(maxLength).fill(1, 1);
  return (source) => DATA_KINDS[rows].ofText({ ids, weights, source });
}

/** Returns a function that makes images; all share their pixels. */
function imageMaker(
  { maxPositions: numPositions }: Model,
  image: ImageConfig,
): (source: RowSource) => TrainingUnit {
  const pixels = new Uint8Array(numElements([image.channels, image.size, image.size]));
  return (source) => ({ pixels, image, label: 0, numPositions, source });
}
