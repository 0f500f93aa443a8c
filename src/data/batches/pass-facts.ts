/** @file What the programs of a pass need to know about a batch. */
import type { PassFacts } from "../../nn/pass.ts";
import type { LabelledPositions } from "../../run/head/head-positions.ts";
import { type Batch, NO_LABEL, endsPrompt } from "./batch.ts";

/** Returns the facts of a batch that programs may read. */
export function factsOf(batch: Batch): PassFacts {
  const { numRows, length, positions, segments, tokenTypes } = batch;
  const isPromptEnd = (row: number, index: number): boolean => endsPrompt(batch, row * length + index);
  return { numRows, length, positions, segments, tokenTypes, keys: null, textLengths: null, isPromptEnd };
}

/** Returns the positions of a batch that have a label. */
export function labelledPositions({ labels, numLabels, targets }: Batch): LabelledPositions {
  const indexes = new Int32Array(numLabels);
  let count = 0;
  for (let i = 0; i < labels.length; i++) if (labels[i] !== NO_LABEL) indexes[count++] = i;
  return { indexes, labels: indexes.map((index) => labels[index]!), targets };
}
