/** @file The setting for what the backward pass recomputes instead of keeping it. */
import type { Saves } from "../run/blocks/block-programs.ts";
import type { TrainOptions } from "./settings/options.ts";

/** Whether activations are recomputed; "all-but-attention": attention, which takes most of the time in long rows, is kept. */
export type Recompute = boolean | "all-but-attention";

/** What each value of `gradientCheckpointing` means. An "auto" that nothing has replaced keeps everything. */
export const RECOMPUTES: Readonly<Record<TrainOptions["gradientCheckpointing"], Recompute>> = {
  auto: false,
  off: false,
  "keep-attention": "all-but-attention",
  on: true,
};

/** What a block that will run backward saves. */
export function savesOf(recompute: Recompute): Saves {
  if (recompute === "all-but-attention") return "attention";
  return recompute ? "nothing" : "all";
}
