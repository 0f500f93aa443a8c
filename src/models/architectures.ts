/** @file The list of model families. */
import { UsageError } from "../errors.ts";
import type { Architecture } from "./architecture.ts";
import { llama } from "./llama.ts";
import { vit } from "./vit.ts";

export const ARCHITECTURES: readonly Architecture[] = [llama, vit];

/** Finds the family of a configuration. @throws UsageError "usage/model" when there is none. */
export function findArchitecture(raw: Readonly<Record<string, unknown>>): Architecture {
  const modelType = raw["model_type"];
  const found = ARCHITECTURES.find((a) => a.modelType === modelType);
  if (found) return found;
  const known = ARCHITECTURES.map((a) => `"${a.modelType}"`).join(", ");
  throw new UsageError(
    "usage/model",
    `Cannot use model type "${String(modelType)}": expected ${ARCHITECTURES.length === 1 ? known : `one of ${known}`}`,
    { hint: "Choose a model of an implemented family" },
  );
}
