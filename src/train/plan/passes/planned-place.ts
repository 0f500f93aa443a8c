/**
 * @file What planned passes run on: a model without numbers, memory that is only counted, and programs that are not executed.
 */
import type { TensorType } from "../../../graph/graph.ts";
import type { PlannedSession } from "./planned-session.ts";
import type { PartGraph } from "../../../models/graphs/part-graph.ts";
import { PlannedLinks } from "./planned-links.ts";
import type { PlannedBlock, PlannedPool } from "./planned-pool.ts";
import type { PlannedPrograms } from "./planned-programs.ts";

export interface PassPlace {
  readonly session: PlannedSession;
  readonly pool: PlannedPool;
  readonly programs: PlannedPrograms;
}

/** Sizes of a micro-batch: rows B, tokens per row T, positions with a label N. */
export interface PassShape {
  readonly numRows: number;
  readonly length: number;
  readonly numLabels: number;
}

/** One pass: its sizes, and the inputs made for it. */
export interface Pass {
  readonly bindings: Readonly<Record<"B" | "T" | "P" | "R", number>>;
  readonly made: Map<string, PlannedBlock>;
  /** Gradients of what blocks share. */
  readonly links: PlannedLinks;
}

export function beginPass({ numRows, length }: PassShape): Pass {
  return { bindings: { B: numRows, T: length, P: 0, R: length }, made: new Map(), links: new PlannedLinks() };
}

/** Lends the inputs of a program that are computed for the pass, such as positions, once for each name. */
export function makeInputs(pool: PlannedPool, { passInputs }: PartGraph, { bindings, made }: Pass): void {
  for (const [name, { input }] of passInputs) {
    if (!made.has(name)) made.set(name, pool.acquire(input, bindings));
  }
}

/** A tensor of floats that is only counted. */
export function floats(shape: TensorType["shape"]): TensorType {
  return { dtype: "float32", shape };
}
