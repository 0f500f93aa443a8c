/**
 * @file Runs the blocks of a model: forward with or without kept activations, and backward.
 *
 * Between two runs nothing is decided here; whoever calls may drop, pause or reorder. Activations come from the pool
 * and belong to the caller, who releases them.
 */
import type { Value } from "../graph/graph.ts";
import { type Bindings, evaluateShape } from "../graph/shape.ts";
import type { BaseModel } from "../models/base-model.ts";
import { FROZEN } from "../models/block-graph.ts";
import type { Overlay } from "../peft/attach.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine } from "../runtime/engine.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import {
  type BlockProgram,
  type BlockProgramKind,
  BlockPrograms,
  GRADIENT,
  type BlockVariant,
  tensorsRead,
} from "./block-programs.ts";
import type { PassContext } from "./context.ts";
import { ownTensors } from "./own-tensors.ts";
import type { GradientSink } from "./gradient-sink.ts";

type BlockStructure = Pick<BlockVariant, "signature" | "training" | "projector" | "trained">;

/** Fills the dropout mask of a site: zeros and 1/(1-p). Called again for the backward pass, so it must give the same. */
export type FillDropout = (layer: number, site: string, mask: Float32Array, probability: number) => void;

/** Activations by name, lent by the pool. */
export type Kept = Record<string, HostTensor<"float32">>;

export class BlockRunner {
  readonly base: BaseModel;
  readonly adapter: Overlay | null;
  readonly pool: BufferPool;
  readonly #programs: BlockPrograms;
  readonly #fillDropout: FillDropout | null;
  readonly #structures = new Map<number, BlockStructure>();
  /** Tensors of the base that the blocks of a signature read. */
  readonly #reads = new Map<string, readonly string[]>();

  /** `fillDropout` null: evaluation, nothing is dropped. */
  constructor(
    engine: Engine,
    base: BaseModel,
    adapter: Overlay | null,
    pool: BufferPool,
    fillDropout: FillDropout | null,
  ) {
    this.base = base;
    this.adapter = adapter;
    this.pool = pool;
    this.#programs = new BlockPrograms(engine, base.architecture, base.config);
    this.#fillDropout = fillDropout;
  }

  get numLayers(): number {
    return this.base.config.numLayers;
  }

  /** Whether a block holds something that is trained. */
  isTrained(layer: number): boolean {
    const prefix = this.base.architecture.names.blockPrefix(layer);
    return this.adapter?.parameters.some(({ name }) => name.startsWith(prefix)) ?? false;
  }

  #program(
    kind: BlockProgramKind,
    layer: number,
    length: number,
    inputGradient: boolean,
  ): Promise<BlockProgram> {
    return this.#programs.get({ ...this.#structureOf(layer), kind, length, inputGradient });
  }

  /** What a block's programs depend on beside the pass: the same at every step, so worked out once. */
  #structureOf(layer: number): BlockStructure {
    let structure = this.#structures.get(layer);
    if (!structure) {
      const prefix = this.base.architecture.names.blockPrefix(layer);
      structure = {
        signature: this.adapter?.signature(layer) ?? "frozen",
        training: this.#fillDropout !== null,
        projector: this.adapter?.projector(layer) ?? FROZEN,
        trained: (this.adapter?.parameters ?? [])
          .filter(({ name }) => name.startsWith(prefix))
          .map(({ name }) => name.slice(prefix.length)),
      };
      this.#structures.set(layer, structure);
    }
    return structure;
  }

  /** The tensors of the base that a block reads, whatever runs: what an adapter has of its own is none of them. */
  #readsOf(layer: number): readonly string[] {
    const { signature, projector } = this.#structureOf(layer);
    let reads = this.#reads.get(signature);
    if (!reads) {
      const { architecture, config } = this.base;
      reads = tensorsRead(architecture, config, projector);
      this.#reads.set(signature, reads);
    }
    return reads;
  }

  /** All that a block program may read but activations; masks in it are lent. `next`: the block that comes after. */
  async #feeds(
    layer: number,
    next: number | null,
    context: PassContext,
    { block }: BlockProgram,
  ): Promise<{ feeds: Kept; lent: HostTensor[] }> {
    const feeds: Record<string, HostTensor> = {
      ...context.tensors,
      ...(await this.base.block(layer, next, (of) => this.#readsOf(of))),
      ...ownTensors(this.base, this.adapter, layer, block),
    };
    const lent: HostTensor[] = [];
    for (const [site, { mask, probability }] of Object.entries(block.dropout)) {
      const tensor = this.pool.acquire("float32", this.#shape(mask, context));
      this.#fillDropout?.(layer, site, tensor.data, probability);
      feeds[`dropout.${site}`] = tensor;
      lent.push(tensor);
    }
    return { feeds: feeds as Kept, lent };
  }

  #shape(value: Value, { numRows, length }: PassContext): number[] {
    const bindings: Bindings = { B: numRows, T: length };
    return evaluateShape(value.shape, bindings);
  }

  #outputs(names: readonly string[], of: Readonly<Record<string, Value>>, context: PassContext): Kept {
    return Object.fromEntries(
      names.map((name) => [name, this.pool.acquire("float32", this.#shape(of[name] as Value, context))]),
    );
  }

  /** Runs a block on x [B, T, D]. With `keep` it also returns the activations for `backward`. */
  async forward(
    layer: number,
    x: HostTensor<"float32">,
    context: PassContext,
    keep: boolean,
  ): Promise<{ y: HostTensor<"float32">; kept: Kept }> {
    const compiled = await this.#program(keep ? "forwardKeeping" : "forward", layer, context.length, true);
    const { outputs } = compiled.program.spec;
    const into = this.#outputs(Object.keys(outputs), outputs, context);
    const { feeds, lent } = await this.#feeds(layer, layer + 1, context, compiled);
    await compiled.program.run({ ...feeds, x }, into);
    this.pool.release(...lent);
    const { y, ...kept } = into;
    return { y: y as HostTensor<"float32">, kept };
  }

  /**
   * Runs a block backward from dy [B, T, D]; gradients go into the sink. `kept` null: compute the activations again.
   * Returns dx, or null when `inputGradient` is false.
   */
  async backward(
    layer: number,
    activations: {
      readonly x: HostTensor<"float32">;
      readonly kept: Kept | null;
      readonly dy: HostTensor<"float32">;
    },
    context: PassContext,
    sink: GradientSink,
    inputGradient: boolean,
  ): Promise<HostTensor<"float32"> | null> {
    const { x, kept, dy } = activations;
    const compiled = await this.#program(
      kept ? "backward" : "backwardAnew",
      layer,
      context.length,
      inputGradient,
    );
    const { program } = compiled;
    const prefix = this.base.architecture.names.blockPrefix(layer);
    const into: Kept = inputGradient ? this.#outputs(["dx"], program.spec.outputs, context) : {};
    const targets: [string, HostTensor<"float32">][] = [];
    for (const output of Object.keys(program.spec.outputs)) {
      if (!output.startsWith(GRADIENT)) continue;
      const name = prefix + output.slice(GRADIENT.length);
      const target = sink.target(name);
      into[output] = target;
      targets.push([name, target]);
    }
    const { feeds, lent } = await this.#feeds(layer, inputGradient ? layer - 1 : null, context, compiled);
    await program.run({ ...feeds, ...kept, x, dy }, into);
    this.pool.release(...lent);
    for (const [name, target] of targets) await sink.add(name, target);
    return into["dx"] ?? null;
  }

  /** Frees the programs. */
  release(): Promise<void> {
    return this.#programs.release();
  }
}
