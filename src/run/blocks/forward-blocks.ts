/** @file Runs a forward pass through all blocks; between two blocks other work takes turns, or its rows ride in the pass. */
import type { BlockPass, BlockRunner } from "./block-runner.ts";

/** Awaited between two blocks, and between two products of the head: other work on the session may run meanwhile. */
export type BetweenBlocks = () => Promise<void>;

/**
 * Runs the blocks of a pass. `betweenBlocks` is awaited before each block, but when rows of others ride in the pass, only before
 * the first: the ride must end first.
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
