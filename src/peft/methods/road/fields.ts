/** @file The options of RoAd, for its schema and those of methods that include it. */
import { z } from "zod";
import { MODULES_TO_SAVE } from "../../trained-base/whole-modules.ts";

export const ROAD_FIELDS = {
  variant: z
    .enum(["road_1", "road_2", "road_4"])
    .default("road_1")
    .describe("parameters for each pair of outputs: 2, 4 or 8"),
  groupSize: z
    .int()
    .min(2)
    .multipleOf(2)
    .nullable()
    .default(null)
    .describe("outputs in a group, within which pairs are formed; default: the largest that fits, up to 64"),
  pairs: z
    .enum(["all", "lower", "upper"])
    .default("all")
    .describe(
      "the pairs that are rotated; adapters of the two halves share no parameter, so they add up exactly",
    ),
  positions: z
    .enum(["all", "prompt-end"])
    .default("all")
    .describe(
      "tokens whose residual stream is rotated: all, or the last of a prompt (in training, before every answer that is trained on)",
    ),
  ...MODULES_TO_SAVE,
};
const FIELDS = z.object(ROAD_FIELDS);
export type RoadOptions = z.output<typeof FIELDS>;
