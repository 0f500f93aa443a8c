/** @file The list of optimizers. */
import { findNamed } from "../messages/find-named.ts";
import { adamw } from "./adamw.ts";
import { lion } from "./lion.ts";
import type { Optimizer } from "./optimizer.ts";
import { sgd } from "./sgd.ts";

/** The optimizers that a run may name. */
export const OPTIMIZERS: readonly Optimizer[] = [adamw, sgd, lion];

/** Finds an optimizer by name. @throws UsageError "usage/flag" when there is none. */
export function findOptimizer(name: string): Optimizer {
  return findNamed("optimizer", OPTIMIZERS, name);
}
