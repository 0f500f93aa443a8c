/**
 * @file Runs the blocks of a model: forward with or without saved activations, and backward.
 *
 * Between two runs nothing is decided here; whoever calls may drop, pause or reorder. Activations come from the pool
 * and belong to the caller, who releases them.
 */
import type { Value } from "../../graph/graph.ts";
import { evaluateShape } from "../../graph/shape.ts";
import type { DropoutMask } from "../../models/graphs/dropout-masks.ts";
import type { PartGraph, TensorRead } from "../../models/graphs/part-graph.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { SmoothingRule } from "../../nn/compute.ts";
import { type HostTensor, zeros } from "../../runtime/host-tensor.ts";
import { type BackwardPlan, BackwardPlanner } from "./backward-plan.ts";
import { type BlockVariant, type Saves, blockProgram, compileBlock } from "./block-programs.ts";
import { type BlockStructure, structuresOf, tensorsRead } from "./block-structure.ts";
import { compileSmoothing } from "./smoothing-program.ts";
import { compileStretch } from "./stretch-program.ts";
import type { PassContext } from "../context.ts";
import { type GradientBuffer, bindGradients } from "../gradients/gradient-buffer.ts";
import { runFlat } from "./flat-run.ts";
import type { Ride } from "./riders.ts";
import type { Session } from "../session.ts";
import { withTrained } from "../weights/trained-values.ts";
import { type Smoothing, WeightWalk } from "../weights/weights.ts";

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

export class BlockRunner {
  readonly session: Session;
  readonly adapter: AdapterView | null;
  readonly #fillDropout: FillDropout | null;
  readonly #structures: readonly BlockStructure[];
  /** Tensors of the base that the blocks of a structure read. */
  readonly #reads = new Map<string, readonly TensorRead[]>();
  readonly #planner: BackwardPlanner;

  /** `fillDropout` null: evaluation, nothing is dropped. */
  constructor(session: Session, adapter: AdapterView | null, fillDropout: FillDropout | null) {
    this.session = session;
    this.adapter = adapter;
    this.#fillDropout = fillDropout;
    this.#structures = structuresOf(session, adapter, fillDropout !== null);
    this.#planner = new BackwardPlanner(session.model, this.#structures);
  }

  get numLayers(): number {
    return this.#structures.length;
  }

  /** What is left of the backward pass without some branches, by block. */
  planBackward(dropped: readonly (readonly string[])[], trainsStem: boolean): BackwardPlan {
    return this.#planner.plan(dropped, trainsStem);
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

  #structureOf(layer: number): BlockStructure {
    const structure = this.#structures[layer];
    if (!structure) throw new RangeError(`Cannot run block ${layer}: the model has ${this.numLayers}`);
    return structure;
  }

  /** The tensors of the base that a block reads, whatever runs: what an adapter has of its own is none of them. */
  #readsOf(layer: number): readonly TensorRead[] {
    const structure = this.#structureOf(layer);
    const { signature, arithmetic, trained } = structure;
    const key = JSON.stringify([this.session.model.layers[layer]?.kind, signature, arithmetic.key, trained]);
    let reads = this.#reads.get(key);
    if (!reads) this.#reads.set(key, (reads = tensorsRead(this.session.model, structure)));
    return reads;
  }

  /** All that a block program may read but activations; masks in it are lent. `next`: the block that comes after. */
  async #feeds(
    layer: number,
    next: number,
    { context, walk }: BlockPass,
    part: PartGraph,
  ): Promise<{ feeds: Record<string, HostTensor>; lent: HostTensor[] }> {
    const feeds: Record<string, HostTensor> = {
      ...context.tensors(part),
      ...(await walk.block(layer, next)),
      ...this.adapter?.inputs(layer),
    };
    const lent: HostTensor[] = [];
    for (const dropped of part.dropout) {
      const tensor = this.#acquire(dropped.mask, context);
      this.#fillDropout?.(layer, dropped, tensor.data);
      feeds[dropped.mask.name as string] = tensor;
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
    saves: Saves,
    dropped: readonly string[] = ALL_BRANCHES,
  ): Promise<{ y: HostTensor<"float32">; saved: Saved }> {
    const variant: BlockVariant = {
      kind: "forward",
      saves,
      length: pass.context.facts.length,
      inputGradient: true,
      dropped: saves ? dropped : ALL_BRANCHES,
    };
    const structure = this.#structureOf(layer);
    const { program, made } = await compileBlock(this.session, structure, variant);
    const { feeds, lent } = await this.#feeds(layer, layer + 1, pass, made.part);
    const { spec } = program;
    const { outputs } = spec;
    const y = this.#acquire(outputs["y"] as Value, pass.context);
    const saved = Object.fromEntries(
      made.saved.map((name) => [name, this.#acquire(outputs[name] as Value, pass.context)]),
    );
    const own = { feeds: { ...feeds, x }, into: { ...saved, y } };
    if (pass.ride) {
      const { key } = blockProgram(this.session.model, structure, variant);
      await runFlat(this.session, [{ key, spec, ...own }, ...(await pass.ride.block(layer))]);
    } else await program.run(own.feeds, own.into);
    this.session.pool.release(...lent);
    return { y, saved };
  }

  /**
   * Runs a block on x [B, T, D] and measures the factors on what its matrices multiply, by the matrices' names in the
   * model. Returns them and y, which the caller releases.
   */
  async forwardSmoothing(
    layer: number,
    x: HostTensor<"float32">,
    pass: BlockPass,
    smoothing: SmoothingRule,
  ): Promise<{ y: HostTensor<"float32">; factors: Smoothing }> {
    const structure = this.#structureOf(layer);
    const { length } = pass.context.facts;
    const { program, made } = await compileSmoothing(this.session, structure, length, smoothing);
    const { feeds, lent } = await this.#feeds(layer, layer + 1, pass, made.part);
    const y = this.#acquire(program.spec.outputs["y"] as Value, pass.context);
    const measured = Object.keys(made.tensors).map((name): [string, HostTensor<"float32">] => [
      name,
      zeros("float32", (program.spec.outputs[name] as Value).shape as number[]),
    ]);
    await program.run({ ...feeds, x }, { ...Object.fromEntries(measured), y });
    this.session.pool.release(...lent);
    const prefix = this.session.model.blockPrefix(layer);
    const factors = measured.flatMap(([name, of]) =>
      (made.tensors[name] ?? []).map((tensor) => [prefix + tensor, of] as const),
    );
    return { y, factors: new Map(factors) };
  }

  /**
   * Runs a block on x [B, T, D] branch by branch, each a program of its own: before it `runs` is asked, with the stream
   * that goes in, whether it shall; a branch that does not run changes nothing. Returns y, which the caller releases.
   */
  async forwardByBranch(
    layer: number,
    x: HostTensor<"float32">,
    pass: BlockPass,
    runs: (branch: string, stream: HostTensor<"float32">) => boolean | Promise<boolean>,
  ): Promise<HostTensor<"float32">> {
    const { pool, model } = this.session;
    const structure = this.#structureOf(layer);
    const { length } = pass.context.facts;
    const stretches = await Promise.all(
      (model.layers[layer]?.branches ?? []).map(async ({ name: branch }, index) => ({
        branch,
        whole: await compileStretch(this.session, structure, length, index, true),
        without: (): ReturnType<typeof compileStretch> =>
          compileStretch(this.session, structure, length, index, false),
      })),
    );
    const { part } = (stretches[0] as (typeof stretches)[number]).whole.made;
    const { feeds, lent } = await this.#feeds(layer, layer + 1, pass, part);
    let stream = pool.acquire("float32", x.shape);
    stream.data.set(x.data);
    for (const { branch, whole, without } of stretches) {
      const isRun = await runs(branch, stream);
      if (!isRun && whole.made.isNothingElse) continue;
      const { program } = isRun ? whole : await without();
      const y = pool.acquire("float32", x.shape);
      await program.run({ ...feeds, x: stream }, { y });
      pool.release(stream);
      stream = y;
    }
    pool.release(...lent);
    return stream;
  }

  /**
   * Runs a block backward from dy [B, T, D]; gradients go into the buffer. Activations that are not among the
   * `saved` are computed again. Returns dx, or null when `inputGradient` is false.
   */
  async backward(
    layer: number,
    activations: {
      readonly x: HostTensor<"float32">;
      readonly saved: Saved;
      readonly dy: HostTensor<"float32">;
    },
    pass: BlockPass,
    buffer: GradientBuffer,
    inputGradient: boolean,
    dropped: readonly string[] = ALL_BRANCHES,
  ): Promise<HostTensor<"float32"> | null> {
    const { x, saved, dy } = activations;
    const variant: BlockVariant = {
      kind: "backward",
      given: Object.keys(saved),
      length: pass.context.facts.length,
      inputGradient,
      dropped,
    };
    const { program, made } = await compileBlock(this.session, this.#structureOf(layer), variant);
    const dx = inputGradient ? this.#acquire(program.spec.outputs["dx"] as Value, pass.context) : null;
    const trained = this.adapter?.trained(layer) ?? [];
    const { feeds, lent } = await this.#feeds(layer, layer - 1, pass, made.part);
    const hold = await buffer.hold(trained);
    try {
      const bound = bindGradients(buffer, trained, made.gradients);
      const into: Record<string, HostTensor> = { ...bound.into, ...(dx ? { dx } : {}) };
      buffer.prefetch(this.adapter?.trained(layer - 1) ?? []);
      await program.run({ ...feeds, ...saved, x, dy }, into);
      this.session.pool.release(...lent);
      await bound.add();
      await buffer.measure(trained);
    } finally {
      hold.release();
    }
    return dx;
  }
}
