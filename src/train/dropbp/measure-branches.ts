/**
 * @file Measures the sensitivity of every branch in one pass over a micro-batch.
 *
 * Leaving out a branch changes neither the forward pass nor the backward pass above its block: so each block runs forward once, and
 * backward once with all branches and once for each branch in it or above it. A block finishes all of these before the next block
 * begins, since its kept activations are brought back only once. Memory holds a gradient of the stream, [B, T, D], for each branch
 * above, and what is compared of one block's gradients.
 */
import type { BlockPlan } from "../../run/blocks/backward-plan.ts";
import type { LinkGradients } from "../../run/links.ts";
import type { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { type KeptBlock, type Turn, runBlockBackward } from "../step/blocks-backward.ts";
import type { ModelBranch } from "./branch-list.ts";
import type { Sensitivity } from "./sensitivity.ts";

type Stream = HostTensor<"float32">;

/** A backward pass in progress: with all branches, or without one. */
interface Way {
  /** Index of the branch that is left out; null: none. */
  readonly without: number | null;
  readonly dy: Stream;
  /** Gradients of what its blocks share. */
  readonly links: LinkGradients;
}

/** How many backward passes over all blocks `measureBranches` takes; a pass over some of the blocks counts as a fraction. */
export function numBackwardPasses(branches: readonly ModelBranch[], numLayers: number): number {
  return branches.reduce((sum, { layer }) => sum + (layer + 1) / numLayers, 1);
}

/** Runs the blocks of a micro-batch backward; returns the sensitivity of each branch. @throws the signal's reason, between two blocks */
export async function measureBranches(
  turn: Turn,
  branches: readonly ModelBranch[],
  sensitivity: Sensitivity,
  signal?: AbortSignal,
): Promise<number[]> {
  const { runner, plan, stemBackward } = turn;
  const { pool } = runner.session;
  const measuring = new Measuring(turn, branches, sensitivity, signal);
  const { links } = turn.pass.context;
  let ways: readonly Way[] = [{ without: null, dy: turn.dy, links: links.gradients }];
  for (let layer = runner.numLayers - 1; layer >= 0; layer--) {
    const block = plan.blocks[layer]!;
    // A block that does not run in the pass with all branches does not run in the others either.
    if (block.runs) ways = await measuring.runBlock(layer, block, ways);
  }
  if (stemBackward) {
    runner.rest(turn.pass);
    ways = await measuring.goOn(ways, null, async ({ dy }) => {
      pool.release(await turn.headBackward());
      await stemBackward(dy);
      return null;
    });
  }
  pool.release(turn.x, ...ways.map(({ dy }) => dy));
  for (const way of ways) way.links.release();
  return measuring.sensitivities;
}

/** The backward passes of a micro-batch, one block after another, and the sensitivities summed so far. */
class Measuring {
  /** The sensitivity of each branch. */
  readonly sensitivities: number[];
  readonly #turn: Turn;
  readonly #branches: readonly ModelBranch[];
  readonly #sensitivity: Sensitivity;
  readonly #signal: AbortSignal | undefined;

  constructor(
    turn: Turn,
    branches: readonly ModelBranch[],
    sensitivity: Sensitivity,
    signal: AbortSignal | undefined,
  ) {
    this.sensitivities = branches.map(() => 0);
    this.#turn = turn;
    this.#branches = branches;
    this.#sensitivity = sensitivity;
    this.#signal = signal;
  }

  /** Runs a block backward in each of the passes so far, and once without each of its own branches. */
  async runBlock(layer: number, block: BlockPlan, ways: readonly Way[]): Promise<readonly Way[]> {
    const { kept, runner } = this.#turn;
    const { pool } = runner.session;
    const activations = (await kept.bringBack()) as KeptBlock;
    const [whole, ...parted] = ways as [Way, ...Way[]];
    const own = this.#branches.flatMap((branch, without) =>
      branch.layer === layer
        ? [
            {
              without,
              dy: whole.dy,
              links: whole.links.fork(),
              block: planWithout(this.#turn, branch),
            },
          ]
        : [],
    );
    const below = await this.goOn([whole, ...own, ...parted], layer, async ({ without, dy }) => {
      const { runs, dropped } = own.find((each) => each.without === without)?.block ?? block;
      const read = { ...activations, dy };
      if (runs) return await runBlockBackward(this.#turn, layer, read, { ...block, dropped });
      return block.wantsInput ? copyOf(dy, pool) : null;
    });
    pool.release(...Object.values(activations));
    return below;
  }

  /**
   * Continues each pass, the one with all branches first, and compares gradients of one layer (null: outside the blocks). Releases
   * each `dy`.
   */
  async goOn(
    ways: readonly Way[],
    layer: number | null,
    run: (way: Way) => Promise<Stream | null>,
  ): Promise<readonly Way[]> {
    const { gradients, runner, betweenBlocks } = this.#turn;
    const groups = gradients.groups.filter(({ group }) => group.layer === layer);
    const below: Way[] = [];
    let whole: readonly ArrayLike<number>[] = [];
    for (const [i, way] of ways.entries()) {
      this.#signal?.throwIfAborted();
      await betweenBlocks?.();
      gradients.begin();
      const { without, dy, links } = way;
      this.#turn.pass.context.links.gradients = links;
      const dx = await run(way);
      gradients.finish();
      if (ways[i + 1]?.dy !== dy) runner.session.pool.release(dy);
      if (dx) below.push({ without, dy: dx, links });
      else links.release();
      if (without === null) whole = await this.#sensitivity.read(groups);
      else this.sensitivities[without]! += await this.#sensitivity.distance(whole, groups);
    }
    return below;
  }
}

/** The backward plan of a branch's block without this branch. */
function planWithout({ runner, stemBackward }: Turn, { layer, name }: ModelBranch): BlockPlan {
  const dropped = Array.from({ length: runner.numLayers }, (_, each) => (each === layer ? [name] : []));
  return runner.planBackward({ dropped, trainsStem: stemBackward !== null }).blocks[layer]!;
}

function copyOf({ shape, data }: Stream, pool: BufferPool): Stream {
  const copy = pool.acquire("float32", shape);
  copy.data.set(data);
  return copy;
}
