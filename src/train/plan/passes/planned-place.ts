/**
 * @file What planned passes run on: a model without numbers, memory that is only counted, and programs that are not
 * executed.
 */
import type { TensorType } from "../../../graph/graph.ts";
import type { PlannedModel } from "./planned-model.ts";
import type { PlannedPool } from "./planned-pool.ts";
import type { PlannedPrograms } from "./planned-programs.ts";

/** What passes are planned on. */
export interface PassPlace {
  readonly facts: PlannedModel;
  readonly pool: PlannedPool;
  readonly programs: PlannedPrograms;
}

/** A tensor of floats that is only counted. */
export function floats(shape: TensorType["shape"]): TensorType {
  return { dtype: "float32", shape };
}
