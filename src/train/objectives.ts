/** @file The list of objectives. */
import { findNamed } from "../messages/find-named.ts";
import { DATA_KINDS } from "../data/examples/data-kinds.ts";
import type { Model } from "../models/model.ts";
import type { Objective } from "./objective.ts";
import { classification } from "./objectives/classification.ts";
import { crossEntropy } from "./objectives/cross-entropy.ts";
import { dpo } from "./objectives/dpo.ts";
import { kto } from "./objectives/kto.ts";
import { multiLabelClassification } from "./objectives/multi-label-classification.ts";
import { orpo } from "./objectives/orpo.ts";
import { regression } from "./objectives/regression.ts";

/** The objectives that a run may name. */
export const OBJECTIVES: readonly Objective[] = [
  crossEntropy,
  classification,
  multiLabelClassification,
  regression,
  dpo,
  orpo,
  kto,
];

/** Objectives that learn texts, not classes or numbers. */
export const TEXT_OBJECTIVES = OBJECTIVES.filter(({ rows }) => DATA_KINDS[rows].problem === null);

/** The default objective of a model for a kind of problem. */
export function defaultObjective({ problem }: Pick<Model, "problem">): Objective {
  return OBJECTIVES.find(({ rows }) => DATA_KINDS[rows].problem === problem)!;
}

/** Finds an objective by name. @throws UsageError "usage/flag" when there is none. */
export function findObjective(name: string, objectives: readonly Objective[] = OBJECTIVES): Objective {
  return findNamed("objective", objectives, name);
}
