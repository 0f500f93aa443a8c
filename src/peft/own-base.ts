/** @file Whether an adapter meets the base that it was attached to, or one of the same numbers that was opened another time. */
import { UsageError } from "../errors.ts";
import type { BaseModel } from "../models/base/base-model.ts";
import { type BaseSample, mayBeOneModel, sampleBase } from "../models/base/base-sample.ts";
import type { Adapter } from "./attach.ts";

/**
 * Refuses adapters of other models, null aside. Nothing is read where the base is the very one.
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

/** Null where its files are closed: then nobody can tell any more. */
async function sampleOpen(base: BaseModel): Promise<BaseSample | null> {
  try {
    return await sampleBase(base);
  } catch (error) {
    if (error instanceof UsageError && error.code === "usage/state") return null;
    throw error;
  }
}
