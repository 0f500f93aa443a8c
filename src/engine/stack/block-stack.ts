/**
 * @file Several blocks of a model as one program that reads and extends a cache of keys and values.
 *
 * At one token a block takes less than a millisecond, and calling the runtime takes a good part of that again, more on a
 * busy machine; so a few programs run all blocks. Groups of equal structure share one.
 */
import type { ProgramSpec } from "../../graph/program.ts";
import type { BuiltPart, Model } from "../../models/model.ts";
import { PAST_KEY, PAST_VALUE, type PartGraph, type TensorRead } from "../../models/part-graph.ts";
import { PLAIN_PART } from "../../models/part-options.ts";
import { type AdapterView, placedBy } from "../../peft/adapter-view.ts";
import { type Amount, type Arithmetic, arithmeticOf, boundOf, constantsOf } from "../../run/arithmetic.ts";
import type { PassFacts } from "../../nn/pass.ts";
import type { PassContext } from "../../run/context.ts";
import type { WeightTensors } from "../../run/lease.ts";
import type { Compiled, Session } from "../../run/session.ts";
import { withTrained } from "../../run/trained-values.ts";
import { WeightWalk } from "../../run/weights.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { type CacheLayout, type PagedCache, bestLayout } from "../cache/paged-cache.ts";
import { byBlock, inBlock, stackSpec } from "./stack-spec.ts";

/** Blocks of one program: compiling takes longer with more of them, and beyond this little is gained. */
const MAX_BLOCKS = 6;

/** From so many rows on an arithmetic's products for many tokens take over: docs/log.md. */
export const MANY_ROWS = 4;

/** One block in the program of its group. */
interface GroupBlock {
  readonly layer: number;
  /** The tensors of the base that it is fed. */
  readonly reads: readonly TensorRead[];
  /** Names in the program of what is the block's own, by those in the block. */
  readonly names: ReadonlyMap<string, string>;
}

/** Neighbouring blocks that run as one program. */
interface Group {
  readonly compiled: Compiled<readonly PartGraph[]>;
  readonly blocks: readonly GroupBlock[];
  /** What its blocks read of a pass. */
  readonly pass: Pick<PartGraph, "passInputs" | "tables">;
}

export class BlockStack {
  readonly #session: Session;
  readonly #adapter: AdapterView | null;
  /** By layout and amount. */
  readonly #groups = new Map<string, Promise<readonly Group[]>>();

  private constructor(session: Session, adapter: AdapterView | null) {
    this.#session = session;
    this.#adapter = adapter;
  }

  /** Compiles the programs for a few tokens; those of another layout, and for many tokens, when they are first needed. */
  static async create(session: Session, adapter: AdapterView | null): Promise<BlockStack> {
    const stack = new BlockStack(session, adapter);
    await stack.#compile(bestLayout(session.model), "any");
    return stack;
  }

  /** Compiles the programs for many tokens, where the arithmetic has others for them. */
  async prepareMany(): Promise<void> {
    const { compute, model } = this.#session;
    if (compute.many) await this.#compile(bestLayout(model), "many");
  }

  /** Compiles programs, once. */
  #compile(layout: CacheLayout, amount: Amount): Promise<readonly Group[]> {
    const key = `${layout}, ${amount}`;
    let groups = this.#groups.get(key);
    if (!groups) {
      groups = compileGroups(this.#session, this.#adapter, layout, amount);
      groups.catch(() => this.#groups.delete(key));
      this.#groups.set(key, groups);
    }
    return groups;
  }

  /**
   * Which programs are for a pass. Those for many tokens take seconds to prepare, which several texts are worth; then all
   * prompts take them, and be they short: what is cached of a prompt and what is not must be rounded alike.
   */
  #groupsFor({ numRows }: PassFacts, { layout, isPrompt }: PagedCache): Promise<readonly Group[]> {
    const { compute, isPreparedForMany } = this.#session;
    const isMany = numRows >= MANY_ROWS || (isPrompt && isPreparedForMany);
    return this.#compile(layout, compute.many && isMany ? "many" : "any");
  }

  /**
   * Runs all blocks on x [B, T, D] after the tokens of the cache, and writes the keys and values of the T tokens where
   * the cache says. Takes x and gives y [B, T, D], which the caller releases.
   */
  async forward(
    x: HostTensor<"float32">,
    context: PassContext,
    cache: PagedCache,
  ): Promise<HostTensor<"float32">> {
    const { pool, weights, model } = this.#session;
    const groups = await this.#groupsFor(context.facts, cache);
    const blocks = groups.flatMap((group) => group.blocks);
    const isLent = weights.memory.budgetBytes !== null || blocks.some(({ reads }) => reads.length > 0);
    const lender = withTrained(weights, this.#adapter);
    const walk = new WeightWalk(lender, model.numLayers, (layer) => blocks[layer]?.reads ?? []);
    try {
      let current = x;
      for (const { compiled, blocks, pass } of groups) {
        const y = pool.acquire("float32", x.shape);
        const feeds: Record<string, HostTensor> = { x: current, ...context.tensors(pass) };
        if (cache.pages) feeds["pages"] = cache.pages;
        const into: Record<string, HostTensor> = { y };
        for (const { layer, names } of blocks) {
          if (isLent) give(names, await walk.block(layer, layer + 1), feeds);
          give(names, this.#adapter?.inputs(layer) ?? {}, feeds);
          const [past, fresh] = [cache.past(layer), cache.fresh(layer)];
          give(names, { [PAST_KEY]: past.key, [PAST_VALUE]: past.value }, feeds);
          if (fresh) give(names, { new_key: fresh.key, new_value: fresh.value }, into);
        }
        await compiled.program.run(feeds, into);
        pool.release(current);
        current = y;
      }
      return current;
    } finally {
      walk.end();
    }
  }

  /** Whether a block reads what tells prompts apart: then rows of the cache are good for one prompt alone. */
  async isPerPrompt(): Promise<boolean> {
    const [groups = []] = await Promise.all(this.#groups.values());
    return groups.some(({ compiled: { program, made } }) =>
      made.some(({ passInputs }) =>
        [...passInputs].some(([name, { input }]) => input.perPrompt && name in program.spec.inputs),
      ),
    );
  }
}

async function compileGroups(
  session: Session,
  adapter: AdapterView | null,
  layout: CacheLayout,
  amount: Amount,
): Promise<readonly Group[]> {
  const { model } = session;
  if (amount === "many") await session.prepareMany();
  const arithmetics = model.layers.map((_, layer) => arithmeticOf(session, adapter, layer, amount));
  // One after another, and all beside each other otherwise: while one is compiled, what the next binds is read.
  let read: Promise<unknown> = Promise.resolve();
  const groups = groupLayers(session, arithmetics).map(async (layers): Promise<Group> => {
    const kinds = layers.map((layer) => [
      model.layers[layer]?.kind,
      adapter?.signature(layer) ?? "frozen",
      arithmetics[layer]?.key,
      session.idsOf(adapter?.constants(layer) ?? {}),
    ]);
    const compiled = await session.compile(JSON.stringify(["block-stack", layout, kinds]), () => {
      const blocks = layers.map((layer) =>
        buildBlock(model, adapter, layer, arithmetics[layer] as Arithmetic, layout),
      );
      const spec = stackSpec(blocks, layout);
      const made = blocks.map(({ part }) => part);
      const bind = (): Promise<WeightTensors> => bindConstants(session, adapter, layers, made, spec);
      const constants = (): Promise<WeightTensors> => {
        const bound = read.then(bind);
        read = bound;
        return bound;
      };
      return { spec, made, constants };
    });
    const pass = {
      passInputs: new Map(compiled.made.flatMap((part) => [...part.passInputs])),
      tables: new Map(compiled.made.flatMap((part) => [...part.tables])),
    };
    return { compiled, blocks: groupBlocks(compiled, adapter, layers), pass };
  });
  return Promise.all(groups);
}

function groupBlocks(
  { program: { spec }, made }: Compiled<readonly PartGraph[]>,
  adapter: AdapterView | null,
  layers: readonly number[],
): GroupBlock[] {
  const [inputs, outputs] = [spec.inputs, spec.outputs].map((values) => byBlock(layers.length, values));
  return layers.map((layer, index) => {
    const own = { ...inputs![index], ...outputs![index] };
    const read = made[index]!.readsOf(inputs![index]!);
    const bound = boundOf(read, adapter?.inputs(layer) ?? {});
    const names = Object.keys(own).map((name) => [name, inBlock(index, name)] as const);
    return { layer, reads: read.filter((one) => !bound.includes(one)), names: new Map(names) };
  });
}

/** Reads what the program of a group binds. */
async function bindConstants(
  session: Session,
  adapter: AdapterView | null,
  layers: readonly number[],
  parts: readonly PartGraph[],
  spec: ProgramSpec,
): Promise<Record<string, HostTensor>> {
  const constants: Record<string, HostTensor> = {};
  const inputs = byBlock(parts.length, spec.inputs);
  for (const [index, part] of parts.entries()) {
    const layer = layers[index] as number;
    const own = adapter?.inputs(layer) ?? {};
    const bound = {
      ...(await constantsOf(session, layer, part, inputs[index]!, own)),
      ...adapter?.constants(layer),
    };
    for (const [name, tensor] of Object.entries(bound)) constants[inBlock(index, name)] = tensor;
  }
  return constants;
}

/** Adds tensors of one block, as far as its program has them, to those of a run. */
function give(
  names: GroupBlock["names"],
  tensors: Readonly<Record<string, HostTensor>>,
  to: Record<string, HostTensor>,
): void {
  for (const name in tensors) {
    const full = names.get(name);
    if (full !== undefined) to[full] = tensors[name] as HostTensor;
  }
}

/** Cuts the blocks into groups of nearly equal size; of one block each when blocks take turns in memory. */
function groupLayers(
  { model: { numLayers }, weights }: Session,
  arithmetics: readonly Arithmetic[],
): number[][] {
  const layers = Array.from({ length: numLayers }, (_, layer) => layer);
  const stay =
    weights.memory.budgetBytes === null &&
    (weights.residency === "float32" || arithmetics.every(({ binds }) => binds));
  const numGroups = stay ? Math.ceil(numLayers / MAX_BLOCKS) : numLayers;
  return Array.from({ length: numGroups }, (_, group) =>
    layers.filter((layer) => Math.floor((layer * numGroups) / numLayers) === group),
  );
}

function buildBlock(
  model: Model,
  adapter: AdapterView | null,
  layer: number,
  { product, isSmoothed }: Arithmetic,
  layout: CacheLayout,
): BuiltPart {
  const built = model.buildBlock(layer, {
    ...PLAIN_PART,
    ...placedBy(adapter, layer),
    product,
    isSmoothed,
    cache: layout === "heads" ? "heads" : "tokens",
  });
  if (built.part.attention) return built;
  throw new RangeError(`Cannot generate with a ${model.modelType} model: block ${layer} has no attention`);
}
