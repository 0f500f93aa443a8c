/** @file The rows of a plan without data: those of one step, each as long as rows may be. */
import { DATA_KINDS } from "../../../data/examples/data-kinds.ts";
import type { TrainingUnit } from "../../../data/examples/training-unit.ts";
import type { RowSource } from "../../../data/formats/parsed-row.ts";
import type { Model } from "../../../models/model.ts";
import { numElements } from "../../../graph/shape.ts";
import type { Objective } from "../../objective.ts";
import type { SizedOptions } from "../../settings/options.ts";
import { requireTask } from "./read-run-data.ts";
import type { RunData } from "./run-data.ts";
import { requireFit } from "./text-data.ts";

/** Makes the rows of a step, which no file has. @throws UsageError "usage/flag" for settings that do not fit the model */
export function longestRows(options: SizedOptions, model: Model, objective: Objective): RunData {
  const { maxLength, batchSize, gradientAccumulationSteps, evalData, evalShare } = options;
  requireTask(model, objective);
  requireFit(options, model, objective);
  const train = Array.from({ length: batchSize * gradientAccumulationSteps }, (_, i) =>
    longestRow(maxLength, model, objective, { file: "", line: i + 1 }),
  );
  const isEvaluated = evalData !== undefined || evalShare !== undefined;
  return {
    train,
    sources: [{ numExamples: train.length, weight: 1 }],
    heldOut: isEvaluated ? train.slice(0, 1) : null,
    numTruncated: 0,
    numDropped: 0,
    fileHashes: new Map(),
    chatTemplateHash: null,
    notes: [`Without data: every row is taken to have ${model.image ? "an image" : `${maxLength} tokens`}`],
  };
}

function longestRow(
  maxLength: number,
  { image, maxPositions: numPositions }: Model,
  { rows }: Objective,
  source: RowSource,
): TrainingUnit {
  if (!image) return DATA_KINDS[rows].ofLength(maxLength, source);
  const pixels = new Uint8Array(numElements([image.channels, image.size, image.size]));
  return { pixels, image, label: 0, numPositions, source };
}
