/**
 * @file Checks that an adapter is used with the base that it was attached to, or with one of the same numbers that was opened
 * separately.
 */
import { UsageError } from "../errors.ts";
import type { BaseModel } from "../models/base/base-model.ts";
import { type BaseSample, mayBeOneModel, sampleBase } from "../models/base/base-sample.ts";
import type { Adapter } from "./attach.ts";

/**
 * Refuses adapters of other models; null is ignored. Reads nothing if the base is the same object.
 * @throws UsageError "usage/adapter"; as reading tensors
 */
export async function requireOwnBase(base: BaseModel, adapters: readonly (Adapter | null)[]): Promise<void> {
  for (const adapter of adapters) {
    if (adapter === null || adapter.base === base) continue;
    const own = await sampleOpen(adapter.base);
    if (own === null || mayBeOneModel(own, await sampleBase(base))) continue;
    throw new UsageError(
      "usage/adapter",
      `Cannot use an adapter of method "${adapter.method.name}" with model "${base.name}": it was made for "${adapter.base.name}", whose numbers are others`,
      { hint: "Use it with the model that it was attached to or read for, or attach one to this model." },
    );
  }
}

/** Returns null if the files are closed, so that they cannot be compared any more. */
async function sampleOpen(base: BaseModel): Promise<BaseSample | null> {
  try {
    return await sampleBase(base);
  } catch (error) {
    if (error instanceof UsageError && error.code === "usage/state") return null;
    throw error;
  }
}
