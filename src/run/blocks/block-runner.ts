/**
 * @file Runs the blocks of a model: forward with or without saved activations, and backward.
 *
 * Between two runs nothing is decided here; whoever calls may drop, pause or reorder. Activations come from the pool
 * and belong to the caller, who releases them.
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

/** Fills a dropout mask with zeros and 1/(1-p). Called again for the backward pass, so it must give the same. */
export type FillDropout = (layer: number, mask: DropoutMask, data: Float32Array) => void;

/** Activations by name, lent by the pool. */
export type Saved = Record<string, HostTensor<"float32">>;

/** No branch of a block is left out. */
const ALL_BRANCHES: readonly string[] = [];

/** One pass over the blocks, in whatever order: what all of them read, and the weights that it holds. */
export interface BlockPass {
  readonly context: PassContext;
  readonly walk: WeightWalk;
  /** Rows of others that go along forward; none unless given. */
  readonly ride?: Ride | null;
}

/** A pass whose gradients are collected. */
interface BackwardPass extends BlockPass {
  readonly gradients: GradientBuffer;
}

/** What a forward run leaves for the backward one. */
interface KeptForBackward {
  readonly saves: Saves;
  /** Branches whose backward is left out; none unless given. */
  readonly dropped?: readonly string[];
}

/** What a block's backward reads: what it read, what it saved, and the gradient of what it gave. */
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
  /** Tensors of the base that the blocks of a structure read. */
  readonly #reads = new Map<string, readonly TensorRead[]>();
  /** Plans what is left of the backward pass without some branches, by block. */
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

  /** Begins a pass; whoever does ends it. */
  begin(context: PassContext): BlockPass {
    const lender = withTrained(this.session.weights, this.adapter);
    return { context, walk: new WeightWalk(lender, this.numLayers, (layer) => this.#readsOf(layer)) };
  }

  /** Lets go of the block that ran last, where memory has a budget: other work needs its room. */
  rest({ walk }: BlockPass): void {
    if (this.session.weights.memory.budgetBytes !== null) walk.end();
  }

  /** Gives back what a pass holds. */
  end({ context, walk }: BlockPass): void {
    walk.end();
    context.release();
  }

  /** What the backward pass of a block reads and writes of gradients for others; null: it has to do with none. */
  #linkedBackward(layer: number, context: PassContext, wanted: readonly string[]): LinkedBackward | null {
    const { givesKeys } = this.structureOf(layer);
    const { keysFrom } = this.session.model.layers[layer]!;
    if (!givesKeys && wanted.length === 0) return null;
    return linkedBackward(context, { layer, keysFrom, wanted, givesKeys }, (spec, names) =>
      this.#keyRows(spec, names, context),
    );
  }

  /** What makes the programs of a block differ from those of others. */
  structureOf(layer: number): BlockStructure {
    const structure = this.#structures[layer];
    if (!structure) throw new RangeError(`Cannot run block ${layer}: the model has ${this.numLayers}`);
    return structure;
  }

  /** The tensors of the base that a block reads, whatever runs: what an adapter has of its own is none of them. */
  #readsOf(layer: number): readonly TensorRead[] {
    const structure = this.structureOf(layer);
    let reads = this.#reads.get(structure.key);
    if (!reads) this.#reads.set(structure.key, (reads = tensorsRead(this.session.model, structure)));
    return reads;
  }

  /** All that a program of a block may read but activations; what is lent goes back to the pool. `next`: the block that comes after. */
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

  /** Runs a block on x [B, T, D]. It also returns the activations for `backward` that it saves. */
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

  /** Memory for the keys and values that a program gives later blocks; `give` when it has run. */
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

  /** Memory for two outputs of a program, of keys and of values. */
  #keyRows({ outputs }: ProgramSpec, [key, value]: readonly [string, string], context: PassContext): KeyRows {
    return { key: this.#acquire(outputs[key]!, context), value: this.#acquire(outputs[value]!, context) };
  }

  /**
   * Runs a block backward from dy [B, T, D]. Activations that are not among the
   * `saved` are computed again. Returns dx, or null when the block plans for none.
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
