/** @file The list of objectives. */
import { findNamed } from "../messages/find-named.ts";
import type { ModelTask } from "../models/family.ts";
import type { Objective } from "./objective.ts";
import { classification } from "./objectives/classification.ts";
import { crossEntropy } from "./objectives/cross-entropy.ts";
import { dpo } from "./objectives/dpo.ts";
import { kto } from "./objectives/kto.ts";
import { orpo } from "./objectives/orpo.ts";

/** The objectives that a run may name. */
export const OBJECTIVES: readonly Objective[] = [crossEntropy, classification, dpo, orpo, kto];

/** What a model learns unless something else is asked for. */
const DEFAULTS: Readonly<Record<ModelTask, Objective>> = {
  "causal-lm": crossEntropy,
  "sequence-classification": classification,
  "image-classification": classification,
};

/** The objective of models for a task, unless another is asked for. */
export function defaultObjective(task: ModelTask): Objective {
  return DEFAULTS[task];
}

/** Finds an objective by name. @throws UsageError "usage/flag" when there is none. */
export function findObjective(name: string): Objective {
  return findNamed("objective", OBJECTIVES, name);
}
