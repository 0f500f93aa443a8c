/** @file The options of SNELL, their keys in a configuration, and the check for sites that are too small for them. */
import { z } from "zod";
import { UsageError } from "../../../errors.ts";
import { configKeys } from "../../contract/adapter-file.ts";
import type { SitePlace } from "../../sites/site.ts";
import { MODULES_TO_SAVE } from "../../trained-base/whole-modules.ts";
import { KERNELS, type KernelName, type KernelShape, kernelOf } from "./kernels.ts";
import { SPARSIFIERS, type Sparsity, THROUGH, numZeros } from "./sparsify.ts";

const SHARE = z.number().min(0).lt(1);

export const SNELL_OPTIONS = z.strictObject({
  rank: z.int().min(1).default(8).describe("rank R of the two thin factors"),
  kernel: z
    .enum(Object.keys(KERNELS) as [KernelName, ...KernelName[]])
    .default("piecewise-linear")
    .describe("function of two rows of the factors that gives an entry of the update"),
  pieces: z
    .int()
    .min(1)
    .default(2)
    .describe("segments of a row, for the kernels piecewise-linear and softmax"),
  alpha: z
    .number()
    .positive()
    .default(1)
    .describe("initial value of the kernel's factor α; pieces alternate between α and -α"),
  learnKernel: z.boolean().default(true).describe("train the kernel's own parameters too"),
  sparsify: z
    .enum(SPARSIFIERS)
    .default("soft")
    .describe(
      "what happens to entries above the threshold: multiplied by their distance or by their size, kept, kept as chosen at the start, or no threshold",
    ),
  sparsity: SHARE.default(0.9).describe("share of the update's entries that are zero"),
  sparsityPattern: z.record(z.string(), SHARE).default({}).describe("different shares by module pattern"),
  through: z
    .enum(THROUGH)
    .default("threshold")
    .describe(
      "what soft differentiates in addition to the entry: its size and the threshold, its size, or nothing",
    ),
  zeroStart: z
    .boolean()
    .default(false)
    .describe("subtract the initial change, so that training starts at the base; doubles the file size"),
  dropout: SHARE.default(0).describe("dropout on the inputs of the update, in training"),
  dropPath: SHARE.default(0).describe(
    "share of the rows of a batch to which the update is not applied, in training",
  ),
  ...MODULES_TO_SAVE,
});
export type SnellOptions = z.output<typeof SNELL_OPTIONS>;

/** Their keys in a configuration. */
export const SNELL_KEYS = configKeys<SnellOptions>({
  rank: "r",
  kernel: "kernel",
  pieces: "pieces",
  alpha: "alpha",
  learnKernel: "learn_kernel",
  sparsify: "sparsify",
  sparsity: "sparsity",
  sparsityPattern: "sparsity_pattern",
  through: "through",
  zeroStart: "zero_start",
  dropout: "dropout",
  dropPath: "drop_path",
});

export type SnellSite = KernelShape &
  Sparsity &
  Pick<SnellOptions, "kernel" | "learnKernel" | "zeroStart" | "dropout" | "dropPath">;

/** Returns the options of a site after checking them. @throws UsageError "usage/flag" where it is too small for them */
export function siteOptions(options: SnellSite, { path, spec }: SitePlace): SnellSite {
  const { kernel, pieces, rank } = options;
  if (kernelOf(kernel).cutsRows && pieces > rank) {
    throw new UsageError(
      "usage/flag",
      `Cannot adapt "${path}": its factors have ${rank} numbers per row, expected at least the ${pieces} pieces of the kernel`,
      {
        hint: `Use pieces of at most ${rank}, or a larger rank.`,
      },
    );
  }
  const numEntries = spec.outFeatures * spec.inFeatures;
  if (numZeros(options, numEntries) >= numEntries) {
    throw new UsageError(
      "usage/flag",
      `Cannot adapt "${path}": a sparsity of ${options.sparsity} leaves none of its ${numEntries} entries, expected at least one`,
      { hint: `Use a sparsity of at most ${Math.floor((1 - 1 / numEntries) * 1e6) / 1e6}.` },
    );
  }
  return options;
}
