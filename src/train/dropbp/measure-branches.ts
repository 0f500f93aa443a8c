/**
 * @file Measures the sensitivity of every branch in one pass over a micro-batch.
 *
 * Without a branch the forward pass, and the backward pass above its block, are what they are with it: so the blocks run
 * forward once, and backward once whole and once for each branch in them or above. Each block is done with all of these
 * before the next, since what was kept of it is brought back once. It holds a gradient of the stream, [B, T, D], for each
 * branch that lies above, and what is compared of one block's gradients.
 */
import type { BlockPlan } from "../../run/blocks/backward-plan.ts";
import type { LinkGradients } from "../../run/links.ts";
import type { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { type KeptBlock, type Turn, runBlockBackward } from "../step/blocks-backward.ts";
import type { ModelBranch } from "./branch-list.ts";
import type { Sensitivity } from "./sensitivity.ts";

type Stream = HostTensor<"float32">;

/** A backward pass as far as it has come: the whole one, or one without a branch. */
interface Way {
  /** Index of the branch; null: the whole. */
  readonly without: number | null;
  readonly dy: Stream;
  /** Of what its blocks share. */
  readonly links: LinkGradients;
}

/** Backward passes over all blocks, parts put together, that `measureBranches` takes. */
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
    // A block that does not run in the whole pass does not run without a branch either.
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

/** The backward passes of a micro-batch, one block after another, and what their gradients have shown so far. */
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

  /** Runs a block backward in each way that has come down to it, and without each branch in it. */
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

  /** Goes on in each way, the whole one first, and compares gradients of one layer (null: outside the blocks). Streams are released. */
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

/** What the block of a branch does without it. */
function planWithout({ runner, stemBackward }: Turn, { layer, name }: ModelBranch): BlockPlan {
  const dropped = Array.from({ length: runner.numLayers }, (_, each) => (each === layer ? [name] : []));
  return runner.planBackward({ dropped, trainsStem: stemBackward !== null }).blocks[layer]!;
}

function copyOf({ shape, data }: Stream, pool: BufferPool): Stream {
  const copy = pool.acquire("float32", shape);
  copy.data.set(data);
  return copy;
}
