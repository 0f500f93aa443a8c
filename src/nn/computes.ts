/** @file All arithmetics of products. To add one: its file and one line here. */
import type { Compute } from "./compute.ts";
import { f32 } from "./computes/f32.ts";
import { int8 } from "./computes/int8.ts";
import { direct } from "./computes/direct.ts";
import { w4 } from "./computes/w4.ts";

export const COMPUTES = { f32, int8, w4, direct } as const satisfies Record<string, Compute>;

/** Name of an arithmetic. */
export type ComputeName = keyof typeof COMPUTES;

export const COMPUTE_NAMES = Object.keys(COMPUTES) as [ComputeName, ...ComputeName[]];
