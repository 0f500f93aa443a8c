/** @file The batches of a step: of what is learned, and of prompts with the answers of others. */
import { type Batch, sequencesOf, toBatch, type TrainingUnit } from "../data/batch.ts";
import { mismatch, type Sequence } from "../data/comparison.ts";
import { fillRows } from "./fill-rows.ts";

/** Lays all sequences of some units into as few rows as the longest one allows. */
export function unitsToBatch(units: readonly TrainingUnit[]): Batch {
  return toBatch(fillRows(units.flatMap((unit) => [...sequencesOf(unit)])));
}

/**
 * Batches of each prompt of a step with the answer of the example before it, as many examples in each as in the
 * micro-batch; none when the step has a single example.
 */
export function mismatchedBatches(
  microBatches: readonly (readonly TrainingUnit[])[],
  maxLength: number,
): Batch[] {
  const sequences = microBatches.map((units) =>
    units.flatMap((unit) => sequencesOf(unit).filter((one): one is Sequence => "role" in one)),
  );
  const others = mismatch(sequences.flat(), maxLength);
  if (others.length === 0) return [];
  let start = 0;
  return sequences.map(({ length }) => toBatch(fillRows(others.slice(start, (start += length)))));
}
