/** @file Joules of a stretch of time: by counters, by the watts that a device measures, or estimated by processor time. */
import type { EnergyCounter } from "./reading.ts";

/**
 * Watts of a busy core, where nothing is measured: between the 1 to 2 of a phone and the 5 to 15 of a desktop. Good for
 * comparing runs on one machine, no more.
 */
export const ESTIMATED_WATTS = 5;

export type EnergySource = "measured" | "estimated";

export interface Energy {
  readonly joules: number;
  readonly source: EnergySource;
}

/** What was read at the ends of a stretch of time. */
interface EnergyReadings {
  readonly before: readonly EnergyCounter[];
  readonly after: readonly EnergyCounter[];
  /** Power of the whole device; null: not measured. */
  readonly watts: number | null;
  readonly elapsedMs: number;
  /** Time of all cores, for this process. */
  readonly processorMs: number;
}

/** Works the energy out of what is known best. */
export function energyOf({ before, after, watts, elapsedMs, processorMs }: EnergyReadings): Energy {
  const counted = countJoules(before, after);
  if (counted !== null) return { joules: counted, source: "measured" };
  if (watts !== null) return { joules: (watts * elapsedMs) / 1000, source: "measured" };
  return { joules: (ESTIMATED_WATTS * processorMs) / 1000, source: "estimated" };
}

/** Joules between two readings of the same counters; null: there are none. */
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
