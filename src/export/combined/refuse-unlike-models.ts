/** @file Checks what combined models must have in common: settings, and tensors, which must also match the base's. */
import { UsageError } from "../../errors.ts";
import type { Checkpoint } from "../../format/checkpoint/checkpoint.ts";
import { showShape } from "../../graph/shape.ts";
import type { BaseModel } from "../../models/base/base-model.ts";

/** Keys of config.json that say nothing about the computation. */
const NEUTRAL_KEYS = new Set(["_name_or_path", "dtype", "torch_dtype", "transformers_version", "use_cache"]);

/** Refuses models with different configurations or tensors. @throws UsageError "usage/combine" */
export function refuseUnlikeModels(names: readonly string[], models: readonly Checkpoint[]): void {
  const [first, ...others] = models;
  const settings = ({ config }: Checkpoint): string =>
    JSON.stringify(
      Object.entries(config)
        .filter(([key]) => !NEUTRAL_KEYS.has(key))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  const shapes = ({ tensors }: Checkpoint): string =>
    [...tensors.values()]
      .map(({ name, shape }) => `${name} ${showShape(shape)}`)
      .sort()
      .join();
  for (const [index, other] of others.entries()) {
    const isSame = first && settings(first) === settings(other) && shapes(first) === shapes(other);
    if (isSame) continue;
    throw new UsageError(
      "usage/combine",
      `Cannot combine models "${names[0]}" and "${names[index + 1]}": their configurations or tensors differ, expected one base model`,
      { hint: "Choose models that were fine-tuned from the same base model." },
    );
  }
}

/**
 * Refuses a base whose tensors differ from those of the models: differences to it would mean nothing. @throws UsageError
 * "usage/combine"
 */
export function refuseOtherBase(modelName: string, { tensors }: Checkpoint, base: BaseModel): void {
  for (const { name, shape } of base.model.tensors.values()) {
    const found = tensors.get(name)?.shape;
    if (found?.join() === shape.join()) continue;
    const show = (sizes: readonly number[] | undefined): string => (sizes ? showShape(sizes) : "missing");
    throw new UsageError(
      "usage/combine",
      `Cannot combine model "${modelName}" on base "${base.name}": tensor "${name}" is ${show(found)}, expected ${show(shape)}`,
      { hint: "Give the base model that all of them were fine-tuned from." },
    );
  }
}
