/** @file The list of optimizers. */
import { UsageError } from "../errors.ts";
import { adamw } from "./adamw.ts";
import { lion } from "./lion.ts";
import type { Optimizer } from "./optimizer.ts";
import { sgd } from "./sgd.ts";

export const OPTIMIZERS: readonly Optimizer[] = [adamw, sgd, lion];

/** Finds an optimizer by name. @throws UsageError "usage/flag" when there is none. */
export function findOptimizer(name: string): Optimizer {
  const found = OPTIMIZERS.find((optimizer) => optimizer.name === name);
  if (found) return found;
  const known = OPTIMIZERS.map((optimizer) => optimizer.name).join(", ");
  throw new UsageError("usage/flag", `Cannot use optimizer "${name}": expected one of ${known}`);
}
