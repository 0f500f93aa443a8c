/** @file Settings of a run that need less memory for the same steps, or are faster with more of it. */
import { COMPUTES } from "../../nn/computes.ts";
import { f32 } from "../../nn/computes/f32.ts";
import { int8 } from "../../nn/computes/int8.ts";
import type { TrainOptions } from "../options.ts";

/** Settings that a plan may choose, where they are not given. */
export const PLANNED_SETTINGS = [
  "gradientCheckpointing",
  "batchSize",
  "gradientAccumulationSteps",
  "weights",
  "compute",
  "residentMemory",
] as const satisfies readonly (keyof TrainOptions)[];

export type PlannedSetting = (typeof PLANNED_SETTINGS)[number];

/** Values for some of these settings. */
export type PlannedSettings = { readonly [K in PlannedSetting]?: TrainOptions[K] };

export interface Alternative {
  readonly settings: PlannedSettings;
  /** Losses are the same but for rounding of single operations. */
  readonly isExact: boolean;
}

/** Lists what the free settings can be, each with all others; `residentMemory` is not among them. */
export function listAlternatives(
  options: TrainOptions,
  isFree: (setting: PlannedSetting) => boolean,
): Alternative[] {
  const recompute: PlannedSettings[] =
    options.gradientCheckpointing === "auto" || isFree("gradientCheckpointing")
      ? [{ gradientCheckpointing: "off" }, { gradientCheckpointing: "on" }]
      : [{}];
  const canSplit = isFree("batchSize") && isFree("gradientAccumulationSteps");
  const batches: PlannedSettings[] = canSplit ? splitBatches(options) : [{}];
  const isHeld = options.residentMemory !== undefined;
  const weights: PlannedSettings[] =
    isFree("weights") && !isHeld && COMPUTES[options.compute] === f32
      ? [{ weights: "stored" }, { weights: "float32" }]
      : [{}];
  const exact = recompute.flatMap((a) =>
    batches.flatMap((b) => weights.map((c) => ({ settings: { ...a, ...b, ...c }, isExact: true }))),
  );
  if (!isFree("compute") || isHeld) return exact;
  const rounded = recompute.flatMap((a) =>
    batches.map((b) => ({ settings: { ...a, ...b, compute: int8.name as "int8" }, isExact: false })),
  );
  return [...exact, ...rounded];
}

/** Micro-batches of fewer rows, as many of which are added up as make a step of the same rows. */
function splitBatches({ batchSize, gradientAccumulationSteps }: TrainOptions): PlannedSettings[] {
  const numRows = batchSize * gradientAccumulationSteps;
  const sizes = Array.from({ length: batchSize }, (_, i) => batchSize - i);
  return sizes
    .filter((size) => numRows % size === 0)
    .map((size) => ({ batchSize: size, gradientAccumulationSteps: numRows / size }));
}

/** Those of the settings that differ from the options. */
export function changesOf(options: TrainOptions, settings: PlannedSettings): PlannedSettings {
  return Object.fromEntries(
    Object.entries(settings).filter(([key, value]) => {
      const now = options[key];
      return now !== value && !(key === "gradientCheckpointing" && now === "auto" && value === "off");
    }),
  );
}
