/** @file Where parameters were in a step, as its event tells it. */
import type { MemoryTraffic } from "../../runtime/memory/vector-memory.ts";
import type { StepEvent } from "../events.ts";

/** Returns the traffic in megabytes, or nothing where all was in memory. */
export function trafficNumbers(traffic: MemoryTraffic | null): Partial<StepEvent> {
  if (traffic === null) return {};
  const megabytes = (sizeBytes: number): number => Math.round(sizeBytes / 1e3) / 1e3;
  return {
    resident_mb: megabytes(traffic.peakBytes),
    shards_read_mb: megabytes(traffic.readBytes),
    shards_written_mb: megabytes(traffic.writtenBytes),
    evicted_mb: megabytes(traffic.evictedBytes),
  };
}
