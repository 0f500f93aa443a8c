/** @file What a model is trained on, of whatever kind: how long it is, and how much of it is learned. */
import { z } from "zod";
import { argument } from "../../messages/arguments.ts";
import type { ClassExample } from "./class-example.ts";
import type { Comparison, ComparedExample } from "./comparison.ts";
import { countTrained, type Example } from "./example.ts";
import type { ImageExample } from "./images.ts";

/** What a model is trained on: tokens to write, tokens to judge, or an image. */
export type TrainingExample = Example | ComparedExample | ClassExample | ImageExample;

/** What stays together in a micro-batch: an example, or some that are compared. */
export type TrainingUnit = TrainingExample | Comparison;

/** The sequences of a unit: those that are compared, or itself. */
export function sequencesOf<E extends TrainingExample>(
  unit: E | Comparison,
): readonly (E | ComparedExample)[] {
  return "sequences" in unit ? unit.sequences : [unit];
}

/** Positions that a unit takes: its tokens, or what a model makes of its image. */
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

/** Whether a value that a caller gives has what a unit has. */
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

/** What callers give as examples. */
export const UNIT_LIST = z.array(
  argument<TrainingUnit>("an example, as readDataset() or readExamples() returns it", isUnit),
);
