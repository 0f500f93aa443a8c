/** @file Finds the sizes of the micro-batches of a run without building them. */
import {
  type TrainingExample,
  type TrainingUnit,
  countLabels,
  rowLength,
  sequencesOf,
} from "../../data/examples/training-unit.ts";
import type { StepPlan } from "../../data/batches/order.ts";
import { passesOf } from "../evaluate.ts";
import { fillRows } from "../step/fill-rows.ts";
import type { PassShape } from "./passes/planned-place.ts";

/** Most steps that are examined. */
const MAX_STEPS = 500;
/** How many different sizes of a micro-batch are kept: of the largest, which decide the peak of a pass, and of the others. */
const NUM_LARGEST = 24;
const NUM_OTHERS = 40;

/** Micro-batches of one size. */
export interface CountedShape extends PassShape {
  readonly count: number;
}

/** Sizes of the steps of a run. */
interface StepShapes {
  /** Distinct sizes; if there are many, the largest and a selection of the others. */
  readonly shapes: readonly CountedShape[];
  /** Tokens of a step on average, padding included. */
  readonly meanTokens: number;
  /** Micro-batches of a step on average. */
  readonly meanMicroBatches: number;
}

/** Finds the sizes of the micro-batches of a run. */
export function stepShapes(plan: StepPlan<TrainingUnit>, totalSteps: number, packing: boolean): StepShapes {
  const numSteps = Math.min(totalSteps, MAX_STEPS);
  const all = Array.from({ length: numSteps }, (_, step) => plan.microBatches(step)).flat();
  const shapes = all.map((rows) => microBatchShape(rows, packing));
  return {
    shapes: pick(shapes),
    meanTokens: shapes.reduce((sum, shape) => sum + tokensOf(shape), 0) / numSteps,
    meanMicroBatches: shapes.length / numSteps,
  };
}

/** The size of a micro-batch with these rows. */
export function microBatchShape(rows: readonly (readonly TrainingUnit[])[], packing: boolean): PassShape {
  return packing ? shapeOf(rows as readonly (readonly TrainingExample[])[]) : shapeOfUnits(rows.flat());
}

/** Sizes of the passes of an evaluation. */
export function evaluationShapes(units: readonly TrainingUnit[]): readonly PassShape[] {
  return pick(passesOf(units).map(shapeOfUnits));
}

/** Positions of a micro-batch, padding included. */
export function tokensOf({ numRows, length }: PassShape): number {
  return numRows * length;
}

function shapeOfUnits(units: readonly TrainingUnit[]): PassShape {
  const sequences: TrainingExample[] = units.flatMap((unit) => [...sequencesOf(unit)]);
  const areImages = sequences.some((sequence) => "pixels" in sequence);
  return shapeOf(areImages ? sequences.map((sequence) => [sequence]) : fillRows(sequences));
}

function shapeOf(rows: readonly (readonly TrainingExample[])[]): PassShape {
  return {
    numRows: rows.length,
    length: Math.max(...rows.map(rowLength)),
    numLabels: rows.flat().reduce((sum, example) => sum + countLabels(example), 0),
  };
}

/** Picks distinct sizes, in their order. Not only the largest: other lengths leave blocks in the pool, and have programs of their own. */
function pick(shapes: readonly PassShape[]): readonly CountedShape[] {
  const different = new Map<string, CountedShape>();
  for (const shape of shapes) {
    const key = JSON.stringify(shape);
    different.set(key, { ...shape, count: 1 + (different.get(key)?.count ?? 0) });
  }
  const all = [...different.values()];
  const sorted = all.toSorted((a, b) => tokensOf(b) - tokensOf(a));
  const every = Math.max(1, Math.ceil((sorted.length - NUM_LARGEST) / NUM_OTHERS));
  const kept = new Set(sorted.filter((_, i) => i < NUM_LARGEST || (i - NUM_LARGEST) % every === 0));
  return all.filter((shape) => kept.has(shape));
}
