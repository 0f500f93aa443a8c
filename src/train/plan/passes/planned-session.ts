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

/** How a session holds a model and computes. */
interface SessionPlan {
  readonly model: Model;
  readonly kept: KeptAs;
  readonly compute: Compute;
  readonly residency: Residency;
  /** Null or absent: chosen by the length of the rows. */
  readonly attentionChunk?: number | null;
}

export function plannedSession(plan: SessionPlan): PlannedSession {
  const { model, kept, compute, residency, attentionChunk = null } = plan;
  const tables = { model, compute, residency, maxTableBytes: MAX_TABLE_BYTES, source: kept };
  return {
    model,
    compute,
    attentionChunk,
    base: { source: kept },
    residency,
    // Every product that can be smoothed has factors: training measures them before its first step.
    ...(compute.smoothing && { smoothing: { has: () => true } }),
    isLargeTable: (name) => isLargeTable(tables, name),
  };
}
