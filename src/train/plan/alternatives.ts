/** @file Other settings for the same steps: some need less memory, some are faster with more memory. */
import { SAVING_COMPUTE, isExact } from "../../nn/computes.ts";
import { attentionChunkOf } from "../../run/attention-chunk.ts";
import { PLANNED_BASE_KINDS } from "../../quant/storages.ts";
import type { SizedOptions, TrainOptions } from "../settings/options.ts";

/** Settings that a plan may choose if they are not given. */
export const PLANNED_SETTINGS = [
  "gradientCheckpointing",
  "batchSize",
  "gradientAccumulationSteps",
  "attentionChunk",
  "weights",
  "compute",
  "base",
  "residentMemory",
] as const satisfies readonly (keyof TrainOptions)[];

export type PlannedSetting = (typeof PLANNED_SETTINGS)[number];

/** Values for some of these settings. */
export type PlannedSettings = { readonly [K in PlannedSetting]?: TrainOptions[K] };

export interface Alternative {
  readonly settings: PlannedSettings;
  /** Whether losses are the same up to rounding of single operations. */
  readonly isExact: boolean;
}

/** A chunk of queries that takes less memory than the default for long rows; smaller ones save next to nothing. */
const SMALL_ATTENTION_CHUNK = 64;

/**
 * Lists all combinations of values of the free settings, without `residentMemory`. `canRound`: whether the base can be rounded to a
 * kind.
 */
export function listAlternatives(
  options: SizedOptions,
  isFree: (setting: PlannedSetting) => boolean,
  canRound: (kind: NonNullable<TrainOptions["base"]>) => boolean,
): Alternative[] {
  const recompute: PlannedSettings[] =
    options.gradientCheckpointing === "auto" || isFree("gradientCheckpointing")
      ? (["off", "keep-attention", "on"] as const).map((gradientCheckpointing) => ({ gradientCheckpointing }))
      : [{}];
  const canSplit = isFree("batchSize") && isFree("gradientAccumulationSteps");
  const batches: PlannedSettings[] = canSplit ? splitBatches(options) : [{}];
  // Small chunks have more nodes to compile and are no faster; they only help if attention takes most of the memory.
  const chunks: PlannedSettings[] =
    isFree("attentionChunk") && attentionChunkOf(options.maxLength) > SMALL_ATTENTION_CHUNK
      ? [{}, { attentionChunk: SMALL_ATTENTION_CHUNK }]
      : [{}];
  const isHeld = options.residentMemory !== undefined;
  const weights: PlannedSettings[] =
    isFree("weights") && !isHeld && isExact(options.compute)
      ? [{ weights: "stored" }, { weights: "float32" }]
      : [{}];
  const roundings: PlannedSettings[] = [];
  if (isFree("compute") && !isHeld) roundings.push({ compute: SAVING_COMPUTE });
  // Rounding saves nothing if weights are held in float32.
  if (isFree("base") && isStored(options, isFree)) {
    roundings.push(
      ...PLANNED_BASE_KINDS.filter(canRound).map((base) => ({ base, weights: "stored" as const })),
    );
  }
  const shapes = combined(combined(recompute, batches), chunks);
  return [
    ...combined(shapes, weights).map((settings) => ({ settings, isExact: true })),
    ...combined(shapes, roundings).map((settings) => ({ settings, isExact: false })),
  ];
}

/** Combines each of some settings with each of others. */
function combined(some: readonly PlannedSettings[], others: readonly PlannedSettings[]): PlannedSettings[] {
  return some.flatMap((one) => others.map((other) => ({ ...one, ...other })));
}

/** Whether weights can be held as they are stored. */
function isStored(
  { compute, weights, base }: TrainOptions,
  isFree: (setting: PlannedSetting) => boolean,
): boolean {
  return base === undefined && isExact(compute) && (weights === "stored" || isFree("weights"));
}

/** Smaller micro-batches, with more of them per step, so that a step has the same rows. */
function splitBatches({
  batchSize,
  gradientAccumulationSteps,
  dataParallel = 1,
}: TrainOptions): PlannedSettings[] {
  const numRows = batchSize * gradientAccumulationSteps;
  const sizes = Array.from({ length: batchSize }, (_, i) => batchSize - i);
  return sizes
    .filter((size) => numRows % size === 0 && numRows / size >= dataParallel)
    .map((size) => ({ batchSize: size, gradientAccumulationSteps: numRows / size }));
}

/** The settings that differ from the options. */
export function changesOf(options: TrainOptions, settings: PlannedSettings): PlannedSettings {
  return Object.fromEntries(
    Object.entries(settings).filter(([key, value]) => {
      const now = options[key];
      return now !== value && !(key === "gradientCheckpointing" && now === "auto" && value === "off");
    }),
  );
}
