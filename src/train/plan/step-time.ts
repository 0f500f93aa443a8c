/** @file Estimates how long a step takes from its amount of arithmetic and the speed of the machine. */
import type { MemoryPlan } from "./run-memory.ts";

/** What a machine does per second. */
export interface MachineRates {
  /** Multiplications of products of many rows. */
  readonly float32: number;
  readonly int8: number;
  /** Bytes that element-wise programs read and write. */
  readonly movedBytes: number;
  /** Weights that are read and prepared for programs, in bytes of float32. */
  readonly readBytes: number;
}

/** Rates of a typical processor with two cores: good enough to compare plans with each other. */
export const USUAL_RATES: MachineRates = { float32: 50e9, int8: 100e9, movedBytes: 10e9, readBytes: 2e9 };

/** Estimates the seconds of a step. */
export function stepSeconds({ stepWork, stepReadBytes }: MemoryPlan, rates: MachineRates): number {
  return (
    stepWork.float32 / rates.float32 +
    stepWork.int8 / rates.int8 +
    stepWork.movedBytes / rates.movedBytes +
    stepReadBytes / rates.readBytes
  );
}
