/**
 * @file Runs the blocks of a model: forward with or without saved activations, and backward.
 *
 * It decides nothing between two runs: callers may drop, pause or reorder. Activations come from the pool and belong to the
 * caller, who releases them.
 */
import type { Value } from "../../graph/graph.ts";
import type { ProgramSpec } from "../../graph/program.ts";
import { evaluateShape } from "../../graph/shape.ts";
import type { DropoutMask } from "../../models/graphs/dropout-masks.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { HostTensor, Tensors } from "../../runtime/host-tensor.ts";
import { type BackwardPlan, type BackwardRequest, type BlockPlan, backwardPlanner } from "./backward-plan.ts";
import { GIVEN_KEY, GIVEN_VALUE } from "./block-gradients.ts";
import { type BlockVariant, type Saves, blockProgram, compileBlock } from "./block-programs.ts";
import { type LinkedBackward, linkedBackward } from "./linked-backward.ts";
import type { KeyRows } from "../links.ts";
import { type BlockStructure, structuresOf, tensorsRead } from "./block-structure.ts";
import type { PassContext } from "../context.ts";
import type { GradientBuffer } from "../gradients/gradient-buffer.ts";
import { bindGradients } from "../gradients/gradient-outputs.ts";
import { runFlat } from "./flat-run.ts";
import type { Ride } from "./riders.ts";
import type { Session } from "../session.ts";
import { withTrained } from "../weights/trained-values.ts";
import { WeightWalk } from "../weights/weight-walk.ts";

/** Fills a dropout mask with zeros and 1/(1-p). Called again for the backward pass, so it must give the same mask. */
export type FillDropout = (layer: number, mask: DropoutMask, data: Float32Array) => void;

/** Activations by name, from the pool. */
export type Saved = Record<string, HostTensor<"float32">>;

const ALL_BRANCHES: readonly string[] = [];

/** One pass over the blocks, in any order: what all blocks read, and the weights that the pass holds. */
export interface BlockPass {
  readonly context: PassContext;
  readonly walk: WeightWalk;
  /** Rows of texts that ride in the forward pass; none unless given. */
  readonly ride?: Ride | null;
}

/** A pass whose gradients are collected. */
interface BackwardPass extends BlockPass {
  readonly gradients: GradientBuffer;
}

/** What a forward run keeps for the backward one. */
interface KeptForBackward {
  readonly saves: Saves;
  /** Branches that the backward pass leaves out; none unless given. */
  readonly dropped?: readonly string[];
}

/** What a block's backward run reads: the block's input, its saved activations, and the gradient of its output. */
interface BlockActivations {
  readonly x: HostTensor<"float32">;
  readonly saved: Saved;
  readonly dy: HostTensor<"float32">;
}

export class BlockRunner {
  readonly session: Session;
  readonly adapter: AdapterView;
  readonly #fillDropout: FillDropout | null;
  readonly #structures: readonly BlockStructure[];
  /** Base tensors that blocks read, by structure. */
  readonly #reads = new Map<string, readonly TensorRead[]>();
  /** Plans the backward pass of each block when some branches are left out. */
  readonly planBackward: (request: BackwardRequest) => BackwardPlan;

  /** `fillDropout` null: evaluation, nothing is dropped. */
  constructor(session: Session, adapter: AdapterView, fillDropout: FillDropout | null) {
    this.session = session;
    this.adapter = adapter;
    this.#fillDropout = fillDropout;
    this.#structures = structuresOf(session, adapter, { training: fillDropout !== null });
    this.planBackward = backwardPlanner(session.model, this.#structures);
  }

  get numLayers(): number {
    return this.#structures.length;
  }

  /** Begins a pass; the caller ends it. */
  begin(context: PassContext): BlockPass {
    const lender = withTrained(this.session.weights, this.adapter);
    return { context, walk: new WeightWalk(lender, this.numLayers, (layer) => this.#readsOf(layer)) };
  }

  /** Releases the block that ran last if memory has a budget, since other work needs the room. */
  rest({ walk }: BlockPass): void {
    if (this.session.weights.memory.budgetBytes !== null) walk.end();
  }

  /** Releases what a pass holds. */
  end({ context, walk }: BlockPass): void {
    walk.end();
    context.release();
  }

  /** The gradients that a block's backward run exchanges with other blocks; null: it exchanges none. */
  #linkedBackward(layer: number, context: PassContext, wanted: readonly string[]): LinkedBackward | null {
    const { givesKeys } = this.structureOf(layer);
    const { keysFrom } = this.session.model.layers[layer]!;
    if (!givesKeys && wanted.length === 0) return null;
    return linkedBackward(context, { layer, keysFrom, wanted, givesKeys }, (spec, names) =>
      this.#keyRows(spec, names, context),
    );
  }

  /** What distinguishes the programs of a block from those of others. */
  structureOf(layer: number): BlockStructure {
    const structure = this.#structures[layer];
    if (!structure) throw new RangeError(`Cannot run block ${layer}: the model has ${this.numLayers}`);
    return structure;
  }

  /** The base tensors that any program of a block reads, without those that the adapter replaces. */
  #readsOf(layer: number): readonly TensorRead[] {
    const structure = this.structureOf(layer);
    let reads = this.#reads.get(structure.key);
    if (!reads) this.#reads.set(structure.key, (reads = tensorsRead(this.session.model, structure)));
    return reads;
  }

  /**
   * All inputs of a block's program except activations; the caller gives what is `lent` back to the pool. `next`: the block that
   * runs after this one.
   */
  async feeds(
    layer: number,
    next: number,
    { context, walk }: BlockPass,
    part: PartGraph,
  ): Promise<{ feeds: Record<string, HostTensor>; lent: HostTensor[] }> {
    const feeds: Record<string, HostTensor> = {
      ...context.tensors(part),
      ...context.links.inputs(layer, this.session.model.layers[layer]!),
      ...(await walk.block(layer, next)),
      ...this.adapter.inputs(layer),
    };
    const lent: HostTensor[] = [];
    for (const dropped of part.dropout) {
      const tensor = this.#acquire(dropped.mask, context);
      this.#fillDropout?.(layer, dropped, tensor.data);
      feeds[dropped.mask.name] = tensor;
      lent.push(tensor);
    }
    return { feeds, lent };
  }

  #acquire(value: Value, { bindings }: PassContext): HostTensor<"float32"> {
    return this.session.pool.acquire("float32", evaluateShape(value.shape, bindings));
  }

  /** Runs a block on x [B, T, D]. Also returns the activations that it saves for `backward`. */
  async forward(
    layer: number,
    x: HostTensor<"float32">,
    pass: BlockPass,
    { saves, dropped = ALL_BRANCHES }: KeptForBackward,
  ): Promise<{ y: HostTensor<"float32">; saved: Saved }> {
    const variant: BlockVariant = {
      kind: "forward",
      saves,
      length: pass.context.facts.length,
      inputGradient: true,
      dropped: saves === "nothing" ? ALL_BRANCHES : dropped,
    };
    const structure = this.structureOf(layer);
    const { program, made } = await compileBlock(this.session, structure, variant);
    const { feeds, lent } = await this.feeds(layer, layer + 1, pass, made.part);
    const { spec } = program;
    const { outputs } = spec;
    const y = this.#acquire(outputs["y"]!, pass.context);
    const saved = Object.fromEntries(
      made.saved.map((name) => [name, this.#acquire(outputs[name]!, pass.context)]),
    );
    const forOthers = structure.givesKeys ? this.keysForOthers(spec, pass.context) : null;
    const own = { feeds: { ...feeds, x }, into: { ...saved, y, ...forOthers?.into } };
    try {
      const others = (await pass.ride?.block(layer)) ?? [];
      if (others.length > 0) {
        const { key } = blockProgram(this.session.model, structure, variant);
        await runFlat(this.session, [{ key, spec, ...own }, ...others]);
      } else await program.run(own.feeds, own.into);
    } catch (error) {
      this.session.pool.release(...Object.values(own.into));
      throw error;
    } finally {
      this.session.pool.release(...lent);
    }
    forOthers?.give(layer);
    return { y, saved };
  }

  /** Memory for the keys and values that a program outputs for later blocks; call `give` after it has run. */
  keysForOthers(
    spec: ProgramSpec,
    context: PassContext,
  ): { readonly into: Tensors; readonly give: (layer: number) => void } {
    const rows = this.#keyRows(spec, [GIVEN_KEY, GIVEN_VALUE], context);
    return {
      into: { [GIVEN_KEY]: rows.key, [GIVEN_VALUE]: rows.value },
      give: (layer) => context.links.giveKeys(layer, rows),
    };
  }

  /** Memory for two outputs of a program: keys and values. */
  #keyRows({ outputs }: ProgramSpec, [key, value]: readonly [string, string], context: PassContext): KeyRows {
    return { key: this.#acquire(outputs[key]!, context), value: this.#acquire(outputs[value]!, context) };
  }

  /**
   * Runs a block backward from dy [B, T, D], and recomputes activations that are not in `saved`. Returns dx, or null when the
   * block's plan wants none.
   */
  async backward(
    layer: number,
    { x, saved, dy }: BlockActivations,
    pass: BackwardPass,
    {
      dropped,
      wantsInput: inputGradient,
      links: wanted,
    }: Pick<BlockPlan, "dropped" | "wantsInput" | "links">,
  ): Promise<HostTensor<"float32"> | null> {
    const linked = this.#linkedBackward(layer, pass.context, wanted);
    const variant: BlockVariant = {
      kind: "backward",
      given: Object.keys(saved),
      length: pass.context.facts.length,
      inputGradient,
      dropped,
      ...(linked && { links: linked.variant }),
    };
    const { program, made } = await compileBlock(this.session, this.structureOf(layer), variant);
    const dx = inputGradient ? this.#acquire(program.spec.outputs["dx"]!, pass.context) : null;
    const trained = this.adapter.trained(layer);
    const { feeds, lent } = await this.feeds(layer, layer - 1, pass, made.part);
    const { gradients } = pass;
    const hold = await gradients.hold(trained);
    try {
      const bound = bindGradients(gradients, trained, made.gradients);
      const ofLinks = linked?.begin(program.spec);
      const into: Record<string, HostTensor> = { ...bound.into, ...(dx ? { dx } : {}), ...ofLinks?.into };
      gradients.prefetch(this.adapter.trained(layer - 1));
      await program.run({ ...feeds, ...saved, x, dy, ...ofLinks?.feeds }, into);
      ofLinks?.end();
      this.session.pool.release(...lent);
      await bound.add();
      await gradients.measure(trained);
    } finally {
      hold.release();
    }
    return dx;
  }
}
