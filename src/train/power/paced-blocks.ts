/** @file What is awaited between two blocks of a paced run. */
import type { BetweenBlocks } from "../../run/blocks/forward-blocks.ts";
import type { Pacer } from "./pacer.ts";

/** Others' work, then the pause; undefined: nothing. */
export function pacedBlocks({
  betweenBlocks,
  pacer,
}: {
  readonly betweenBlocks?: BetweenBlocks | undefined;
  readonly pacer?: Pick<Pacer, "betweenBlocks"> | null;
}): BetweenBlocks | undefined {
  if (!pacer) return betweenBlocks;
  return async () => {
    await betweenBlocks?.();
    await pacer.betweenBlocks();
  };
}
