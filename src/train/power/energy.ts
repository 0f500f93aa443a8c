/** @file Joules of a period: from counters, from the watts that a device measures, or estimated from processor time. */
import type { EnergyCounter } from "./reading.ts";

/**
 * Assumed watts of a busy core if nothing is measured: between the 1 to 2 of a phone and the 5 to 15 of a desktop. Good only for
 * comparing runs on one machine.
 */
export const ESTIMATED_WATTS = 5;

export type EnergySource = "measured" | "estimated";

export interface Energy {
  readonly joules: number;
  readonly source: EnergySource;
}

/** What was read at both ends of a period. */
interface EnergyReadings {
  readonly before: readonly EnergyCounter[];
  readonly after: readonly EnergyCounter[];
  /** Power of the whole device; null: not measured. */
  readonly watts: number | null;
  readonly elapsedMs: number;
  /** Processor time of this process, all cores together. */
  readonly processorMs: number;
}

/** Computes the energy from the best source available. */
export function energyOf({ before, after, watts, elapsedMs, processorMs }: EnergyReadings): Energy {
  const counted = countJoules(before, after);
  if (counted !== null) return { joules: counted, source: "measured" };
  if (watts !== null) return { joules: (watts * elapsedMs) / 1000, source: "measured" };
  return { joules: (ESTIMATED_WATTS * processorMs) / 1000, source: "estimated" };
}

/** Joules between two readings of the same counters; null: no counter is in both. */
function countJoules(before: readonly EnergyCounter[], after: readonly EnergyCounter[]): number | null {
  const start = new Map(before.map(({ name, microjoules }) => [name, microjoules]));
  let [total, isCounted] = [0, false];
  for (const { name, microjoules, range } of after) {
    const from = start.get(name);
    if (from === undefined) continue;
    total += microjoules >= from ? microjoules - from : microjoules + range - from;
    isCounted = true;
  }
  return isCounted ? total / 1e6 : null;
}
