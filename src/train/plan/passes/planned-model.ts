/** @file The parts of a session that are known before any weight is read. */
import type { WeightSource } from "../../../models/base/base-model.ts";
import type { Model } from "../../../models/model.ts";
import type { Compute } from "../../../nn/compute.ts";
import type { KeptAs } from "../../../peft/layout.ts";
import type { ArithmeticFacts } from "../../../run/arithmetic.ts";
import { MAX_TABLE_BYTES, isLargeTable } from "../../../run/large-tables.ts";
import type { Session } from "../../../run/session.ts";
import type { Residency } from "../../../run/weights/weights.ts";

export interface PlannedModel extends ArithmeticFacts, Pick<Session, "attentionChunk"> {
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
  attentionChunk: number | null = null,
): PlannedModel {
  return {
    model,
    compute,
    attentionChunk,
    base: { source: kept },
    residency,
    // All that can be: training measures factors before its first step.
    ...(compute.smoothing && { smoothing: { has: () => true } }),
    isLargeTable: (name) =>
      isLargeTable({ model, compute }, name, residency, MAX_TABLE_BYTES, (each) => kept.storageOf(each)),
  };
}
