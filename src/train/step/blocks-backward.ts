/** @file The turn of a micro-batch: its blocks have run forward and its head backward, and now the blocks run backward. */
import type { BackwardPlan, BlockPlan } from "../../run/blocks/backward-plan.ts";
import type { BlockPass, BlockRunner, Saved } from "../../run/blocks/block-runner.ts";
import type { BetweenBlocks } from "../../run/blocks/forward-blocks.ts";
import type { GradientBuffer } from "../../run/gradients/gradient-buffer.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { KeptActivations } from "../activations/keeping.ts";

type Stream = HostTensor<"float32">;

/** Runs the blocks of a micro-batch backward, and the stem if it is trained. */
export type BlocksBackward = (turn: Turn) => Promise<void>;

export interface Turn {
  readonly runner: BlockRunner;
  readonly gradients: GradientBuffer;
  readonly pass: BlockPass;
  readonly kept: KeptActivations;
  /** Which parts of the backward pass run. */
  readonly plan: BackwardPlan;
  /** The output of the last block, [B, T, D], and its gradient: the `BlocksBackward` releases both. */
  readonly x: Stream;
  readonly dy: Stream;
  /** Awaited before each block. */
  readonly betweenBlocks: BetweenBlocks | undefined;
  /** Collects the gradients of the head once more, from x; returns another dy. */
  headBackward(): Promise<Stream>;
  /** Collects the gradients of what runs before the blocks; null: nothing of it is trained. */
  readonly stemBackward: ((dx: Stream) => Promise<void>) | null;
}

/** What was kept of a block: its input x, and what it saved. */
export type KeptBlock = Saved & { readonly x: Stream };

/** Runs a block backward; returns the gradient of x, which the caller releases, or null if nothing below needs it. */
export function runBlockBackward(
  { runner, gradients, pass }: Omit<Turn, "dy">,
  layer: number,
  { x, dy, ...saved }: KeptBlock & { readonly dy: Stream },
  block: BlockPlan,
): Promise<Stream | null> {
  return runner.backward(layer, { x, saved, dy }, { ...pass, gradients }, block);
}

/** Runs the blocks backward as planned. */
export const runBlocksBackward: BlocksBackward = async (turn) => {
  const { runner, pass, kept, plan, betweenBlocks, stemBackward } = turn;
  const { pool } = runner.session;
  pool.release(turn.x);
  let { dy } = turn;
  for (let layer = runner.numLayers - 1; layer >= 0; layer--) {
    const block = plan.blocks[layer]!;
    if (!block.runs) continue;
    await betweenBlocks?.();
    const activations = (await kept.bringBack()) as KeptBlock;
    const dx = await runBlockBackward(turn, layer, { ...activations, dy }, block);
    pool.release(dy, ...Object.values(activations));
    if (!dx) return;
    dy = dx;
  }
  runner.rest(pass);
  await stemBackward?.(dy);
  pool.release(dy);
};

/** Runs no block backward, for when only the loss is wanted. */
export const leaveBlocks: BlocksBackward = async ({ runner, x, dy }) => runner.session.pool.release(x, dy);
