/** @file The unit of training for all kinds of data: its length, and how many labels it has. */
import { z } from "zod";
import { argument } from "../../messages/arguments.ts";
import type { ClassExample } from "./class-example.ts";
import type { Comparison, ComparedExample } from "./comparison.ts";
import { countTrained, type Example } from "./example.ts";
import type { ImageExample } from "./images.ts";

/** What a model is trained on: a text to write, a text to classify, or an image. */
export type TrainingExample = Example | ComparedExample | ClassExample | ImageExample;

/** What stays together in a micro-batch: one example, or several that are compared. */
export type TrainingUnit = TrainingExample | Comparison;

/** The sequences of a unit: the compared ones, or the unit itself. */
export function sequencesOf<E extends TrainingExample>(
  unit: E | Comparison,
): readonly (E | ComparedExample)[] {
  return "sequences" in unit ? unit.sequences : [unit];
}

/** Number of positions of a unit: its tokens, or those that a model makes from its image. */
export function exampleLength(unit: TrainingUnit): number {
  if ("sequences" in unit) return rowLength(unit.sequences);
  return "pixels" in unit ? unit.numPositions : unit.ids.length;
}

/** Counts the labels of an example. */
export function countLabels(example: TrainingExample): number {
  return "weights" in example ? countTrained(example) : 1;
}

/** Counts the positions of a row. */
export function rowLength(row: readonly TrainingExample[]): number {
  return row.reduce((sum, example) => sum + exampleLength(example), 0);
}

/** Whether a value from a caller has the fields of a unit. */
function isUnit(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { sequences, pixels, image, ids, weights, label, source } = value as Readonly<
    Record<string, unknown>
  >;
  if (typeof source !== "object" || source === null) return false;
  if (sequences !== undefined) return Array.isArray(sequences) && sequences.every(isUnit);
  if (pixels !== undefined)
    return pixels instanceof Uint8Array && typeof image === "object" && image !== null;
  if (!(ids instanceof Int32Array)) return false;
  return weights instanceof Float32Array
    ? weights.length === ids.length
    : Number.isInteger(label) || label instanceof Float32Array;
}

/** Checks the examples that a caller passes. */
export const UNIT_LIST = z.array(
  argument<TrainingUnit>("an example, as readDataset() or readExamples() returns it", isUnit),
);
