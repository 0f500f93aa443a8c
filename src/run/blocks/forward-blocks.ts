/** @file The way of a forward pass through all blocks: others have their turns between two of them, or go along. */
import type { BlockPass, BlockRunner } from "./block-runner.ts";

/** Is awaited between two blocks, and two products of the head: other work on the session may run there. */
export type BetweenBlocks = () => Promise<void>;

/**
 * Runs the blocks of a pass. A run that takes turns with others asks before each block; where rows of others go along, no turn is
 * given until they and the pass are through.
 */
export async function forwardBlocks(
  { session, numLayers }: BlockRunner,
  pass: BlockPass,
  betweenBlocks: BetweenBlocks | undefined,
  run: (layer: number, pass: BlockPass) => Promise<void>,
): Promise<void> {
  await betweenBlocks?.();
  const ride = betweenBlocks ? ((await session.riders?.board()) ?? null) : null;
  try {
    for (let layer = 0; layer < numLayers; layer++) {
      if (layer > 0 && !ride) await betweenBlocks?.();
      await run(layer, { ...pass, ride });
    }
  } catch (error) {
    ride?.abandon();
    throw error;
  }
  await ride?.land();
}
