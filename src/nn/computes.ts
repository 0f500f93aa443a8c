/** @file All arithmetics of products. To add one: its file and one line here. */
import type { Compute } from "./compute.ts";
import { f32 } from "./computes/f32.ts";
import { int8 } from "./computes/int8.ts";
import { direct } from "./computes/direct.ts";
import { w4 } from "./computes/w4.ts";

export const COMPUTES = { f32, int8, w4, direct } as const satisfies Record<string, Compute>;

export type ComputeName = keyof typeof COMPUTES;

/** Whether an arithmetic rounds nothing, so that weights may be held in any form. */
export function isExact(compute: ComputeName): boolean {
  return COMPUTES[compute].isExact === true;
}

/** The arithmetic that a plan chooses when float32 does not fit in memory. */
export const SAVING_COMPUTE = "int8" satisfies ComputeName;

export const COMPUTE_NAMES = Object.keys(COMPUTES) as [ComputeName, ...ComputeName[]];

/** The arithmetics that need no smoothing factors measured beforehand (`Session.smoothing`). */
export const UNMEASURED_COMPUTES = COMPUTE_NAMES.filter((name) => !("smoothing" in COMPUTES[name]));
