/**
 * @file Several blocks of a model as one program that reads and extends a cache of keys and values.
 *
 * At one token a block takes less than a millisecond, and calling the runtime takes a good part of that again, more on a
 * busy machine; so a few programs run all blocks. Groups of equal structure share one.
 */
import { Graph, type Value } from "../graph/graph.ts";
import { type ProgramSpec, neededInputs, nodesOf } from "../graph/program.ts";
import type { BaseModel } from "../models/base-model.ts";
import { type BlockGraph, FROZEN, buildBlockGraph } from "../models/block-graph.ts";
import type { Overlay } from "../peft/attach.ts";
import { ownTensors } from "../run/own-tensors.ts";
import { ATTENTION_CHUNK } from "../run/block-programs.ts";
import type { PassContext } from "../run/context.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { KvCache } from "./kv-cache.ts";

/** Blocks of one program: compiling takes longer with more of them, and beyond this little is gained. */
const MAX_BLOCKS = 10;

/** Inputs that all blocks of a program share. */
const SHARED = ["mask", "positions", "cos", "sin", "rows", "promptEnds"];

/** Neighbouring blocks that run as one program. */
interface Group {
  readonly firstLayer: number;
  readonly blocks: readonly BlockGraph[];
  readonly program: Program;
}

export class BlockStack {
  readonly #base: BaseModel;
  #adapter: Overlay | null;
  readonly #pool: BufferPool;
  readonly #groups: readonly Group[];

  private constructor(base: BaseModel, adapter: Overlay | null, pool: BufferPool, groups: readonly Group[]) {
    this.#base = base;
    this.#adapter = adapter;
    this.#pool = pool;
    this.#groups = groups;
  }

  /** Compiles the programs. */
  static async create(
    engine: Engine,
    base: BaseModel,
    adapter: Overlay | null,
    pool: BufferPool,
  ): Promise<BlockStack> {
    const programs = new Map<string, Program>();
    const groups: Group[] = [];
    for (const layers of groupLayers(base)) {
      const blocks = layers.map((layer) => buildBlock(base, adapter, layer));
      const key = JSON.stringify(layers.map((layer) => adapter?.signature(layer) ?? "frozen"));
      const program = programs.get(key) ?? (await engine.compile(stackSpec(blocks)));
      programs.set(key, program);
      groups.push({ firstLayer: layers[0] ?? 0, blocks, program });
    }
    return new BlockStack(base, adapter, pool, groups);
  }

  /** Puts another adapter in the place of this one; false, and nothing, when it needs other programs. */
  replace(adapter: Overlay | null): boolean {
    const { numLayers } = this.#base.config;
    for (let layer = 0; layer < numLayers; layer++) {
      if (adapter?.signature(layer) !== this.#adapter?.signature(layer)) return false;
    }
    this.#adapter = adapter;
    return true;
  }

  /**
   * Runs all blocks on x [1, T, D] after the tokens of the cache, and writes the rows of the T tokens behind them, where
   * there must be room; the caller counts them in. Takes x and gives y [1, T, D], which the caller releases.
   */
  forward(x: HostTensor<"float32">, context: PassContext, cache: KvCache): Promise<HostTensor<"float32">> {
    return this.#base.exclusively(() => this.#forward(x, context, cache));
  }

  async #forward(
    x: HostTensor<"float32">,
    context: PassContext,
    cache: KvCache,
  ): Promise<HostTensor<"float32">> {
    let current = x;
    for (const group of this.#groups) {
      const y = this.#pool.acquire("float32", x.shape);
      const feeds: Record<string, HostTensor> = { x: current, ...context.tensors };
      const into: Record<string, HostTensor> = { y };
      for (const [index, block] of group.blocks.entries()) {
        const layer = group.firstLayer + index;
        const weights = await this.#base.block(layer, layer + 1, (of) => this.#readsOf(of));
        bind(index, { ...weights, ...ownTensors(this.#base, this.#adapter, layer, block) }, feeds);
        const [past, fresh] = [cache.past(layer), cache.fresh(layer, context.length)];
        bind(index, { past_key: past.key, past_value: past.value }, feeds);
        bind(index, { new_key: fresh.key, new_value: fresh.value }, into);
      }
      await group.program.run(feeds, into);
      this.#pool.release(current);
      current = y;
    }
    return current;
  }

  /** The tensors of the base that a block reads. */
  #readsOf(layer: number): readonly string[] {
    const group = this.#groups.findLast(({ firstLayer }) => firstLayer <= layer);
    const index = layer - (group?.firstLayer ?? 0);
    const block = group?.blocks[index];
    return Object.keys(block?.tensors ?? {}).filter(
      (name) => inBlock(index, name) in (group?.program.spec.inputs ?? {}),
    );
  }

  /** Whether it matters which token ends a prompt: then rows of the cache are good for one prompt alone. */
  get readsPromptEnds(): boolean {
    return this.#groups.some(({ program }) => "promptEnds" in program.spec.inputs);
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    for (const program of new Set(this.#groups.map((group) => group.program))) await program.release();
  }
}

/** Name of a block's input or output in the program of its group. */
function inBlock(index: number, name: string): string {
  return `${index}.${name}`;
}

/** Adds the tensors of one block to those of its program. */
function bind(index: number, tensors: Record<string, HostTensor>, to: Record<string, HostTensor>): void {
  for (const [name, tensor] of Object.entries(tensors)) to[inBlock(index, name)] = tensor;
}

/** Cuts the blocks into groups of nearly equal size; of one block each when blocks take turns in memory. */
function groupLayers(base: BaseModel): number[][] {
  const { numLayers } = base.config;
  const layers = Array.from({ length: numLayers }, (_, layer) => layer);
  const numGroups = base.keepWidened ? Math.ceil(numLayers / MAX_BLOCKS) : numLayers;
  return Array.from({ length: numGroups }, (_, group) =>
    layers.filter((layer) => Math.floor((layer * numGroups) / numLayers) === group),
  );
}

function buildBlock(base: BaseModel, adapter: Overlay | null, layer: number): BlockGraph {
  return buildBlockGraph(base.architecture, base.config, {
    projector: adapter?.projector(layer) ?? FROZEN,
    cached: true,
    training: false,
    chunk: { length: ATTENTION_CHUNK, count: 1 },
  });
}

/** Joins blocks to one program: each takes the output of the one before. */
function stackSpec(blocks: readonly BlockGraph[]): ProgramSpec {
  const graph = new Graph();
  const inputs: Record<string, Value> = {};
  const outputs: Record<string, Value> = {};
  const share = (name: string, like: Value): Value =>
    (inputs[name] ??= graph.input(name, like.dtype, like.shape));
  let y: Value | null = null;
  for (const [index, block] of blocks.entries()) {
    const ends = { y: block.y, new_key: block.newKey, new_value: block.newValue };
    const candidates = { x: block.x, ...block.context, ...block.tensors, ...block.adapter };
    const given = neededInputs(ends, candidates);
    const places = new Map<Value, Value>();
    for (const [name, value] of Object.entries(given)) {
      if (name === "x") places.set(value, y ?? share("x", value));
      else places.set(value, share(SHARED.includes(name) ? name : inBlock(index, name), value));
    }
    copyNodes({ name: "block", inputs: given, outputs: ends }, graph, places);
    const placeOf = (value: Value): Value => places.get(value) as Value;
    y = placeOf(block.y);
    outputs[inBlock(index, "new_key")] = placeOf(block.newKey);
    outputs[inBlock(index, "new_value")] = placeOf(block.newValue);
  }
  return { name: "block-stack", inputs, outputs: { ...outputs, y: y as Value } };
}

/** Applies the operations of a program again in another graph; `places` tells and learns which value became which. */
function copyNodes(spec: ProgramSpec, graph: Graph, places: Map<Value, Value>): void {
  const placeOf = (value: Value): Value => {
    const place = places.get(value);
    if (place) return place;
    const data = value.graph.constantData.get(value);
    if (!data) throw new RangeError(`Cannot copy value ${value.id}: nothing before it makes it`);
    return graph.constant(value.dtype, value.shape as number[], data);
  };
  for (const node of nodesOf(spec)) {
    const made = graph.apply(node.op, node.inputs.map(placeOf), node.attributes);
    node.outputs.forEach((output, i) => places.set(output, made[i] as Value));
  }
}
