/** @file Decides which blocks of a model form one program on a cache, and feeds it. Groups of equal structure share one program. */
import type { ProgramSpec } from "../../graph/program.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import { PAST_KEY, PAST_VALUE } from "../../models/graphs/part-attention.ts";
import { nextOf, pastOf } from "../../models/graphs/part-state.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import { OTHER_KEY, OTHER_VALUE } from "../../models/graphs/part-links.ts";
import type { Model } from "../../models/model.ts";
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import { type AdapterView, partWith } from "../../peft/adapter-view.ts";
import { type Amount, type Arithmetic, arithmeticOf, boundOf, constantsOf } from "../../run/arithmetic.ts";
import type { PassContext } from "../../run/context.ts";
import type { Session } from "../../run/session.ts";
import type { Makeable } from "../../run/session-programs.ts";
import type { WeightWalk } from "../../run/weights/weight-walk.ts";
import type { Program } from "../../runtime/engine.ts";
import type { HostTensor, Tensors } from "../../runtime/host-tensor.ts";
import type { CacheLayout, PagedPass } from "../cache/paged-pass.ts";
import { byBlock, inBlock, stackSpec } from "./stack-spec.ts";

/** Most blocks in one program: more take longer to compile and gain little. */
const MAX_BLOCKS = 6;

interface GroupBlock {
  readonly layer: number;
  /** The base tensors that the block is fed. */
  readonly reads: readonly TensorRead[];
  /** Names in the program of the block's own inputs and outputs, by their names in the block. */
  readonly names: ReadonlyMap<string, string>;
}

/** Neighbouring blocks that run as one program. */
export interface Group {
  readonly key: string;
  readonly spec: ProgramSpec;
  readonly blocks: readonly GroupBlock[];
  readonly made: readonly PartGraph[];
  /** What its blocks read that belongs to the pass. */
  readonly pass: Pick<PartGraph, "passInputs" | "tables">;
}

export interface CompiledGroup extends Group {
  readonly program: Program;
}

export interface GroupRequest {
  readonly session: Session;
  readonly adapter: AdapterView;
  readonly layout: CacheLayout;
}

/** Compiles the programs of all blocks. Resolves when all that they bind has been read; compiling may still go on. */
export async function compileGroups(
  request: GroupRequest,
  amount: Amount,
): Promise<readonly Promise<CompiledGroup>[]> {
  const { session, adapter } = request;
  const { model } = session;
  if (amount === "many") await session.prepareMany();
  const arithmetics = model.layers.map((_, layer) => arithmeticOf(session, adapter, layer, amount));
  // Constants are read one group after another, while earlier groups compile in parallel.
  let read: Promise<unknown> = Promise.resolve();
  const groups = groupLayers(session, arithmetics).map(async (layers): Promise<CompiledGroup> => {
    const { key, make } = groupProgram(request, layers, arithmetics);
    const { program, made } = await session.compile(
      key,
      () => {
        const { spec, made } = make();
        const bind = (): Promise<Tensors> => bindConstants(request, layers, { spec, made });
        const constants = (): Promise<Tensors> => {
          const bound = read.then(bind);
          read = bound;
          return bound;
        };
        return { spec, made, constants };
      },
      adapter,
    );
    return { ...groupOf(adapter, layers, { key, spec: program.spec, made }), program };
  });
  // A failure is reported when a group is used.
  for (const group of groups) group.catch(() => {});
  await read;
  return groups;
}

/**
 * Groups of one block each, not compiled, since they run in programs of other rows. null: some bind tensors, which the programs
 * of other rows do not.
 */
export function singleGroups(request: GroupRequest): readonly Group[] | null {
  const { session, adapter } = request;
  const arithmetics = session.model.layers.map((_, layer) => arithmeticOf(session, adapter, layer));
  const binds = (layer: number): boolean => Object.keys(adapter.constants(layer)).length > 0;
  if (arithmetics.some((arithmetic, layer) => arithmetic.binds || binds(layer))) return null;
  const known = new Map<string, ReturnType<ReturnType<typeof groupProgram>["make"]>>();
  return arithmetics.map((_, layer) => {
    const { key, make } = groupProgram(request, [layer], arithmetics);
    const program = known.get(key) ?? make();
    known.set(key, program);
    return groupOf(adapter, [layer], { key, ...program });
  });
}

/** The program of some blocks. */
function groupProgram(
  request: GroupRequest,
  layers: readonly number[],
  arithmetics: readonly Arithmetic[],
): Makeable<readonly PartGraph[]> {
  const { session, adapter, layout } = request;
  const { model } = session;
  const kinds = layers.map((layer) => [
    model.layers[layer]?.kind,
    inGroup(model, layers, layer),
    adapter.signature(layer),
    arithmetics[layer]?.key,
    session.idsOf(adapter.constants(layer)),
  ]);
  return {
    key: JSON.stringify(["block-stack", layout, kinds]),
    make: () => {
      const blocks = layers.map((layer) => buildBlock(request, layer, arithmetics[layer]!));
      const keysFrom = layers.map((layer) => inGroup(model, layers, layer));
      return { spec: stackSpec(blocks, layout, keysFrom), made: blocks.map(({ part }) => part) };
    },
  };
}

/**
 * Index in its group of the block whose keys a layer reads; -1: that block is in another group, null: the layer has its own keys.
 */
function inGroup({ layers: all }: Model, layers: readonly number[], layer: number): number | null {
  const { keysFrom } = all[layer]!;
  return keysFrom === null ? null : layers.indexOf(keysFrom);
}

function groupOf(
  adapter: AdapterView,
  layers: readonly number[],
  { key, spec, made }: Pick<Group, "key" | "spec" | "made">,
): Group {
  const pass = {
    passInputs: new Map(made.flatMap((part) => [...part.passInputs])),
    tables: new Map(made.flatMap((part) => [...part.tables])),
  };
  return { key, spec, made, blocks: groupBlocks(spec, made, adapter, layers), pass };
}

function groupBlocks(
  spec: ProgramSpec,
  made: readonly PartGraph[],
  adapter: AdapterView,
  layers: readonly number[],
): GroupBlock[] {
  const [inputs, outputs] = [spec.inputs, spec.outputs].map((values) => byBlock(layers.length, values));
  return layers.map((layer, index) => {
    const own = { ...inputs![index], ...outputs![index] };
    const read = made[index]!.readsOf(inputs![index]!);
    const bound = boundOf(read, adapter.inputs(layer));
    const names = Object.keys(own).map((name) => [name, inBlock(index, name)] as const);
    return { layer, reads: read.filter((one) => !bound.includes(one)), names: new Map(names) };
  });
}

/** Reads what the program of a group binds. */
async function bindConstants(
  { session, adapter }: GroupRequest,
  layers: readonly number[],
  { spec, made }: Pick<Group, "spec" | "made">,
): Promise<Record<string, HostTensor>> {
  const constants: Record<string, HostTensor> = {};
  const inputs = byBlock(made.length, spec.inputs);
  for (const [index, part] of made.entries()) {
    const layer = layers[index]!;
    const own = adapter.inputs(layer);
    const bound = {
      ...(await constantsOf(session, layer, part.readsOf(inputs[index]!), own)),
      ...adapter.constants(layer),
    };
    for (const [name, tensor] of Object.entries(bound)) constants[inBlock(index, name)] = tensor;
  }
  return constants;
}

interface GroupPass {
  readonly context: PassContext;
  readonly cache: PagedPass;
  /** Provides the blocks' weights; null: all are bound. */
  readonly walk: WeightWalk | null;
}

/** All inputs and outputs of a group's program in a pass, except x and y. */
export async function feedGroup(
  { spec, pass, blocks }: Group,
  { layers }: Model,
  adapter: AdapterView,
  { context, cache, walk }: GroupPass,
): Promise<Record<"feeds" | "into", Record<string, HostTensor>>> {
  const feeds: Record<string, HostTensor> = { ...context.tensors(pass) };
  if (cache.pages && "pages" in spec.inputs) feeds["pages"] = cache.pages;
  const into: Record<string, HostTensor> = {};
  for (const { layer, names } of blocks) {
    if (walk) give(names, await walk.block(layer, layer + 1), feeds);
    give(names, adapter.inputs(layer), feeds);
    const { keysFrom } = layers[layer]!;
    give(names, context.links.inputs(layer, { keysFrom: null }), feeds);
    const past = cache.past(keysFrom ?? layer);
    give(names, { [PAST_KEY]: past.key, [PAST_VALUE]: past.value }, feeds);
    if (keysFrom !== null) {
      const other = cache.written(keysFrom);
      if (other) give(names, { [OTHER_KEY]: other.key, [OTHER_VALUE]: other.value }, feeds);
      continue;
    }
    const fresh = cache.fresh(layer);
    if (fresh) give(names, { new_key: fresh.key, new_value: fresh.value }, into);
    for (const state of cache.states(layer)) {
      give(names, { [pastOf(state)]: state.past }, feeds);
      give(names, { [nextOf(state)]: state.next }, into);
    }
  }
  return { feeds, into };
}

/** Adds those tensors of one block that its program has to those of a run. */
function give(names: GroupBlock["names"], tensors: Tensors, to: Record<string, HostTensor>): void {
  for (const name in tensors) {
    const full = names.get(name);
    if (full !== undefined) to[full] = tensors[name]!;
  }
}

/** Splits the blocks into groups of nearly equal size, or of one block each if blocks take turns in memory. */
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
  { session: { model }, adapter, layout }: GroupRequest,
  layer: number,
  { product, isSmoothed }: Arithmetic,
): BuiltPart {
  const built = model.buildBlock(layer, {
    ...partWith(adapter, layer),
    product,
    isSmoothed,
    cache: layout === "heads" ? "heads" : "tokens",
  });
  if (built.part.cache) return built;
  throw new RangeError(`Cannot generate with a ${model.modelType} model: block ${layer} has no attention`);
}
