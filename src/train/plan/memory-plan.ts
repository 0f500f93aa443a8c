/** @file What a run will need, with the choice whether its activations are kept. */
import type { Recompute } from "../recompute.ts";
import { type MemoryRequest, type RunNeeds, estimateRun } from "./run-memory.ts";

export interface MemoryPlan extends RunNeeds {
  readonly recompute: Recompute;
}

/** Plans a run. */
export function planMemory(request: MemoryRequest, recompute: Recompute): MemoryPlan {
  return { ...estimateRun(request, recompute), recompute };
}
