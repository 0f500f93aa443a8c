/** @file The parts of a session that are known before any weight is read. */
import type { Model } from "../../../models/model.ts";
import type { Compute } from "../../../nn/compute.ts";
import type { KeptAs } from "../../../peft/layout.ts";
import type { SessionOutline } from "../../../run/arithmetic.ts";
import { MAX_TABLE_BYTES, isLargeTable } from "../../../run/large-tables.ts";
import type { Session } from "../../../run/session.ts";
import type { Residency } from "../../../run/weights/weights.ts";

export interface PlannedSession extends SessionOutline, Pick<Session, "attentionChunk"> {
  readonly residency: Residency;
  isLargeTable(name: string): boolean;
}

/** How a session is to hold a model and to compute. */
interface SessionPlan {
  readonly model: Model;
  readonly kept: KeptAs;
  readonly compute: Compute;
  readonly residency: Residency;
  /** Null unless given: by the length of the rows. */
  readonly attentionChunk?: number | null;
}

/** Describes a session on a model. */
export function plannedSession(plan: SessionPlan): PlannedSession {
  const { model, kept, compute, residency, attentionChunk = null } = plan;
  const tables = { model, compute, residency, maxTableBytes: MAX_TABLE_BYTES, source: kept };
  return {
    model,
    compute,
    attentionChunk,
    base: { source: kept },
    residency,
    // All that can be: training measures factors before its first step.
    ...(compute.smoothing && { smoothing: { has: () => true } }),
    isLargeTable: (name) => isLargeTable(tables, name),
  };
}
