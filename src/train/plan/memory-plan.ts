/** @file What a run will need, with the choice whether its activations are kept. */
import { type MemoryRequest, type RunNeeds, estimateRun } from "./run-memory.ts";

export interface MemoryPlan extends RunNeeds {
  /** Activations are computed twice instead of kept. */
  readonly recompute: boolean;
}

/** Plans a run. */
export function planMemory(request: MemoryRequest, recompute: boolean): MemoryPlan {
  return { ...estimateRun(request, recompute), recompute };
}
