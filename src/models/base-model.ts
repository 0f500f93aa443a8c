/**
 * @file A base model: its tensors as the checkpoint keeps them, in float32 when they are used.
 *
 * Blocks take turns in two sets of buffers, one in use and one being filled for the next, so a model of any depth has
 * two blocks in float32 at a time; `keepWidened` holds them all instead.
 */
import type { StoredTensor } from "../quant/storage.ts";
import { type StorageName, dequantize } from "../quant/storages.ts";
import { type HostTensor, hostTensor, zeros } from "../runtime/host-tensor.ts";
import {
  type Architecture,
  type ModelConfig,
  type TensorSpec,
  blockTensors,
  modelTensors,
  outerTensors,
} from "./architecture.ts";

/** Where the tensors of a base model come from. */
export interface WeightSource {
  /** How a tensor is kept. */
  storageOf(name: string): StorageName;
  /** A tensor as it is kept; the caller must not change it. */
  stored(name: string): Promise<StoredTensor>;
  /** Writes the values of a tensor into float32 memory of the caller. */
  readInto(name: string, into: Float32Array): Promise<void>;
}

/** What a base model is made of. */
export interface BaseModelParts {
  /** For adapter files: where the model came from. */
  readonly name: string;
  readonly architecture: Architecture;
  readonly config: ModelConfig;
  readonly source: WeightSource;
  /** Holds every tensor in float32: faster, with more memory. */
  readonly keepWidened: boolean;
}

type Block = Readonly<Record<string, HostTensor<"float32">>>;

/** Buffers of a block, and the tensors that are in them or on their way. */
interface Filling {
  readonly tensors: Record<string, HostTensor<"float32">>;
  readonly filled: Map<string, Promise<void>>;
}

export class BaseModel {
  readonly name: string;
  readonly architecture: Architecture;
  readonly config: ModelConfig;
  /** Tensors by Hugging Face name. */
  readonly specs: ReadonlyMap<string, TensorSpec>;
  readonly source: WeightSource;
  /** Whether all blocks are held in float32, each in memory of its own. */
  readonly keepWidened: boolean;
  readonly #blockSpecs: readonly TensorSpec[];
  /** Tensors outside the blocks, by name. */
  readonly #outer = new Map<string, HostTensor<"float32">>();
  /** Blocks that are there or on their way, by layer, oldest first. */
  readonly #blocks = new Map<number, Filling>();
  #lastPass: Promise<void> = Promise.resolve();
  /** Buffers of blocks that are no longer needed. */
  readonly #idle: Filling["tensors"][] = [];

  private constructor({ name, architecture, config, source, keepWidened }: BaseModelParts) {
    this.name = name;
    this.architecture = architecture;
    this.config = config;
    this.source = source;
    this.keepWidened = keepWidened;
    this.#blockSpecs = blockTensors(architecture, config);
    this.specs = new Map(modelTensors(architecture, config).map((spec) => [spec.name, spec]));
  }

  /** Makes a model and reads the tensors outside its blocks. @throws as the source */
  static async open(parts: BaseModelParts): Promise<BaseModel> {
    const model = new BaseModel(parts);
    const { before, after } = outerTensors(model.architecture, model.config);
    for (const { name } of [...before, ...after]) model.#outer.set(name, await model.values(name));
    return model;
  }

  /** The values of any tensor in float32, fresh unless they are kept so already. */
  async values(name: string): Promise<HostTensor<"float32">> {
    const stored = await this.source.stored(name);
    return hostTensor("float32", stored.shape, dequantize(stored));
  }

  /** A tensor outside the blocks; owned by the model. */
  outer(name: string): HostTensor<"float32"> {
    const tensor = this.#outer.get(name);
    if (!tensor)
      throw new RangeError(
        `Cannot read tensor "${name}": the model has none of this name outside its blocks`,
      );
    return tensor;
  }

  /**
   * The tensors of a block, by path inside the block, and a start on those of `next`, which will be asked for after it.
   * They are valid until another block is asked for; owned by the model. Passes take turns: see `exclusively`. `reads`
   * names the tensors of a block that are wanted; all unless given.
   */
  async block(
    layer: number,
    next: number | null = null,
    reads: (layer: number) => Iterable<string> = () => this.#blockSpecs.map(({ name }) => name),
  ): Promise<Block> {
    const tensors = await this.#read(layer, reads(layer));
    if (!this.keepWidened) await this.#retire(layer);
    if (next !== null && next >= 0 && next < this.config.numLayers) {
      // What goes wrong in reading ahead is told when the block is asked for.
      this.#read(next, reads(next)).catch(() => {});
    }
    return tensors;
  }

  /** Runs a pass over the blocks when those that were asked for before are done: their buffers are shared. */
  exclusively<T>(pass: () => Promise<T>): Promise<T> {
    const result = this.#lastPass.then(pass);
    this.#lastPass = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  async #read(layer: number, names: Iterable<string>): Promise<Block> {
    let block = this.#blocks.get(layer);
    if (!block) {
      block = { tensors: this.#idle.pop() ?? {}, filled: new Map() };
      this.#blocks.set(layer, block);
    }
    await Promise.all([...names].map((name) => this.#fill(layer, name, block)));
    return block.tensors;
  }

  #fill(layer: number, name: string, { tensors, filled }: Filling): Promise<void> {
    let reading = filled.get(name);
    if (!reading) {
      const path = this.architecture.names.blockPrefix(layer) + name;
      const buffer = (tensors[name] ??= zeros("float32", this.specs.get(path)?.shape ?? []));
      reading = this.source.readInto(path, buffer.data);
      filled.set(name, reading);
    }
    return reading;
  }

  /** Gives the buffers of all blocks but one back. */
  async #retire(kept: number): Promise<void> {
    for (const [layer, { tensors, filled }] of this.#blocks) {
      if (layer === kept) continue;
      this.#blocks.delete(layer);
      await Promise.allSettled(filled.values());
      this.#idle.push(tensors);
    }
  }
}
