/** @file Plans the memory of a run and decides whether activations are kept. */
import type { Recompute } from "../recompute.ts";
import { type MemoryRequest, type RunNeeds, estimateRun } from "./run-memory.ts";

export interface MemoryPlan extends RunNeeds {
  readonly recompute: Recompute;
}

/** Plans a run, and stops between its passes. */
export function* planMemory(request: MemoryRequest, recompute: Recompute): Generator<void, MemoryPlan, void> {
  return { ...(yield* estimateRun(request, recompute)), recompute };
}
