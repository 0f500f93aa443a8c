/** @file The micro-batches of a step: their keys, and their batches, of examples and of prompts with the answers to other prompts. */
import { z } from "zod";
import { type Batch, layRows } from "../../data/batches/batch.ts";
import { checkArguments, lazily } from "../../messages/arguments.ts";
import { sequencesOf, type TrainingUnit, UNIT_LIST } from "../../data/examples/training-unit.ts";
import { mismatch, type ComparedExample } from "../../data/examples/comparison.ts";
import { fillRows } from "./fill-rows.ts";

/** Identifies a micro-batch of a run; dropout is drawn by it. */
export interface MicroBatchKey {
  readonly step: number;
  readonly micro: number;
}

const ARGUMENTS = lazily(() => z.strictObject({ units: UNIT_LIST }));

/**
 * Lays out all sequences of some units in as few rows as the longest one allows. The caller owns the arrays.
 * @throws UsageError "usage/flag" for invalid units
 */
export function unitsToBatch(units: readonly TrainingUnit[]): Batch {
  checkArguments("unitsToBatch", ARGUMENTS, { units });
  return layUnits(units);
}

/**
 * As `unitsToBatch`, for units that have been checked. Groups are renumbered: rows of different files may have equal numbers, and a
 * row drawn twice would form a pair with itself.
 */
export function layUnits(units: readonly TrainingUnit[]): Batch {
  const sequences = units.flatMap((unit, group) =>
    sequencesOf(unit).map((one) => ("role" in one ? { ...one, group } : one)),
  );
  return layRows(fillRows(sequences));
}

/**
 * Batches of each prompt of a step with the answer of the example before it, with as many examples as the micro-batches have; none
 * when the step has a single example.
 */
export function mismatchedBatches(
  microBatches: readonly (readonly TrainingUnit[])[],
  maxLength: number,
): Batch[] {
  const sequences = microBatches.map((units) =>
    units.flatMap((unit) => sequencesOf(unit).filter((one): one is ComparedExample => "role" in one)),
  );
  const others = mismatch(sequences.flat(), maxLength);
  if (others.length === 0) return [];
  let start = 0;
  return sequences.map(({ length }) => layRows(fillRows(others.slice(start, (start += length)))));
}
