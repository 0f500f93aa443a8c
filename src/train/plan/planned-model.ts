/** @file What of a session is known before any weight is read. */
import type { WeightSource } from "../../models/base-model.ts";
import type { Model } from "../../models/model.ts";
import type { Compute } from "../../nn/compute.ts";
import type { KeptAs } from "../../peft/layout.ts";
import type { ArithmeticFacts } from "../../run/arithmetic.ts";
import { MAX_TABLE_BYTES, isLargeTable } from "../../run/session.ts";
import type { Residency } from "../../run/weights.ts";

export interface PlannedModel extends ArithmeticFacts {
  readonly base: { readonly source: Pick<WeightSource, "storageOf"> };
  readonly residency: Residency;
  isLargeTable(name: string): boolean;
}

/** Describes a session on a model whose tensors are kept so. */
export function plannedModel(
  model: Model,
  kept: KeptAs,
  compute: Compute,
  residency: Residency,
): PlannedModel {
  return {
    model,
    compute,
    base: { source: kept },
    residency,
    isLargeTable: (name) =>
      isLargeTable(model, name, residency, MAX_TABLE_BYTES, (each) => kept.storageOf(each)),
  };
}
