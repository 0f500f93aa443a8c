/**
 * @file Several blocks of a model as one program that reads and extends a cache of keys and values.
 *
 * For one token a block takes less than a millisecond, and calling the runtime adds a good part of that, more on a busy machine;
 * so a few programs run all blocks. Groups of blocks with equal structure share one program.
 */
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { Amount } from "../../run/arithmetic.ts";
import type { PassContext } from "../../run/context.ts";
import type { BlockRun } from "../../run/blocks/riders.ts";
import type { Session } from "../../run/session.ts";
import { withTrained } from "../../run/weights/trained-values.ts";
import { WeightWalk } from "../../run/weights/weight-walk.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { bestLayout } from "../cache/paged-cache.ts";
import type { CacheLayout, PagedPass } from "../cache/paged-pass.ts";
import {
  type CompiledGroup,
  type Group,
  type GroupRequest,
  compileGroups,
  feedGroup,
  singleGroups,
} from "./stack-groups.ts";

/** From this many rows on, an arithmetic's products for many tokens are used (docs/log.md#many-rows-and-prompts). */
const MANY_ROWS = 4;

/** Rows that run through the blocks in programs of other rows. */
export interface StackRide {
  /** What the rows run in a block; the block must have run before the next one is requested. */
  block(layer: number): Promise<BlockRun>;
  /** Output of the last block, [B, T, D], which the caller releases. */
  end(): HostTensor<"float32">;
}

export class BlockStack {
  readonly #session: Session;
  readonly #adapter: AdapterView;
  /** Programs by layout and amount. The outer promise waits for what they bind, each inner one for the compiled program. */
  readonly #groups = new Map<string, Promise<readonly Promise<CompiledGroup>[]>>();
  /** Programs of single blocks by layout; null: these blocks cannot ride in other programs. */
  readonly #singles = new Map<CacheLayout, readonly Group[] | null>();

  private constructor(session: Session, adapter: AdapterView) {
    this.#session = session;
    this.#adapter = adapter;
  }

  /**
   * Reads what the programs for a few tokens bind, and begins to compile them. Programs for another layout or for many tokens are
   * compiled at first use.
   */
  static async create(session: Session, adapter: AdapterView): Promise<BlockStack> {
    const stack = new BlockStack(session, adapter);
    void (await stack.#begin(bestLayout(session.model), "any"));
    return stack;
  }

  /** Settles when the programs for a few tokens are compiled, or one has failed. */
  async compiled(): Promise<void> {
    await this.#compile(bestLayout(this.#session.model), "any");
  }

  /** Compiles the programs for many tokens, if the arithmetic has different ones for them. */
  async prepareMany(): Promise<void> {
    const { compute, model } = this.#session;
    if (compute.many) await this.#compile(bestLayout(model), "many");
  }

  #request(layout: CacheLayout): GroupRequest {
    return { session: this.#session, adapter: this.#adapter, layout };
  }

  /** Begins to compile programs, unless that was done before. */
  #begin(layout: CacheLayout, amount: Amount): Promise<readonly Promise<CompiledGroup>[]> {
    const key = `${layout}, ${amount}`;
    let groups = this.#groups.get(key);
    if (!groups) {
      groups = compileGroups(this.#request(layout), amount);
      const forget = (): void => void this.#groups.delete(key);
      groups.then((begun) => Promise.all(begun)).catch(forget);
      this.#groups.set(key, groups);
    }
    return groups;
  }

  async #compile(layout: CacheLayout, amount: Amount): Promise<readonly CompiledGroup[]> {
    return await Promise.all(await this.#begin(layout, amount));
  }

  /**
   * Which products a pass uses. Those for many tokens take seconds to prepare, which pays for several texts. Then all prompts use
   * them, however short, since cached and uncached parts of a prompt must round alike. So do batch-invariant rows, since these
   * products round each row by itself.
   */
  amountOf({ facts: { numRows }, isPrompt, isBatchInvariant }: PagedPass): Amount {
    const { compute, isPreparedForMany } = this.#session;
    const isMany = numRows >= MANY_ROWS || ((isPrompt || isBatchInvariant) && isPreparedForMany);
    return compute.many && isMany ? "many" : "any";
  }

  /**
   * Runs all blocks on x [B, T, D] after the tokens of the cache, and writes the keys and values of the T tokens where the cache
   * says. Takes x, which it releases, and returns y [B, T, D], which the caller releases.
   */
  async forward(
    x: HostTensor<"float32">,
    context: PassContext,
    cache: PagedPass,
  ): Promise<HostTensor<"float32">> {
    const { pool, model } = this.#session;
    let [current, next]: [HostTensor<"float32">, HostTensor<"float32"> | null] = [x, null];
    let walk: WeightWalk | null = null;
    try {
      const groups = await this.#compile(cache.layout, this.amountOf(cache));
      walk = this.#walk(groups);
      for (const group of groups) {
        next = pool.acquire("float32", x.shape);
        const { feeds, into } = await feedGroup(group, model, this.#adapter, { context, cache, walk });
        await group.program.run({ ...feeds, x: current }, { ...into, y: next });
        pool.release(current);
        [current, next] = [next, null];
      }
      return current;
    } catch (error) {
      pool.release(current, ...(next ? [next] : []));
      throw error;
    } finally {
      walk?.end();
    }
  }

  #single(layout: CacheLayout): readonly Group[] | null {
    let groups = this.#singles.get(layout);
    if (groups === undefined) this.#singles.set(layout, (groups = singleGroups(this.#request(layout))));
    return groups;
  }

  /** Whether its blocks can run in programs of other rows: only if none binds tensors. */
  get canRide(): boolean {
    return this.#single("pages") !== null;
  }

  /** Runs x [B, T, D] through the blocks in programs of other rows; otherwise as `forward`. */
  ride(x: HostTensor<"float32">, context: PassContext, cache: PagedPass): StackRide {
    const { pool } = this.#session;
    const own = this.#single(cache.layout) ?? [];
    const walk = this.#walk(own);
    let [current, next]: [HostTensor<"float32">, HostTensor<"float32"> | null] = [x, null];
    const goOn = (): void => {
      if (!next) return;
      pool.release(current);
      [current, next] = [next, null];
    };
    return {
      block: async (layer) => {
        goOn();
        const group = own[layer]!;
        const y = (next = pool.acquire("float32", x.shape));
        const { feeds, into } = await feedGroup(group, this.#session.model, this.#adapter, {
          context,
          cache,
          walk,
        });
        return { key: group.key, spec: group.spec, feeds: { ...feeds, x: current }, into: { ...into, y } };
      },
      end: () => {
        goOn();
        walk?.end();
        return current;
      },
    };
  }

  #walk(groups: readonly Group[]): WeightWalk | null {
    const { weights, model } = this.#session;
    const blocks = groups.flatMap((group) => group.blocks);
    const isLent = weights.memory.budgetBytes !== null || blocks.some(({ reads }) => reads.length > 0);
    if (!isLent) return null;
    const lender = withTrained(weights, this.#adapter);
    return new WeightWalk(lender, model.numLayers, (layer) => blocks[layer]?.reads ?? []);
  }

  /**
   * Whether a block reads what tells prompts apart, or keeps a state of all tokens: cached keys and values are then good for one
   * prompt only.
   */
  async isPerPrompt(): Promise<boolean> {
    if (this.#session.model.layers.some(({ states }) => states.length > 0)) return true;
    const groups = await this.#compile(bestLayout(this.#session.model), "any");
    return groups.some(({ spec, made }) =>
      made.some(({ passInputs }) =>
        [...passInputs].some(([name, { input }]) => input.perPrompt && name in spec.inputs),
      ),
    );
  }
}
