/**
 * @file A base model in memory: its tensors in the form in which the checkpoint keeps them, widened when they are used.
 *
 * Widening a block fills buffers that every block shares, so a model of any depth has one block in float32 at a time.
 */
import type { StoredTensor } from "../quant/storage.ts";
import { dequantize, dequantizeInto } from "../quant/storages.ts";
import { type HostTensor, hostTensor, numElements } from "../runtime/host-tensor.ts";
import {
  type Architecture,
  type ModelConfig,
  type TensorSpec,
  blockTensors,
  modelTensors,
} from "./architecture.ts";

/** What a base model is made of. */
export interface BaseModelParts {
  /** For adapter files: where the model came from. */
  readonly name: string;
  readonly architecture: Architecture;
  readonly config: ModelConfig;
  /** By Hugging Face name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Holds every tensor in float32 once it has been used: faster, with more memory. */
  readonly keepWidened: boolean;
}

export class BaseModel {
  readonly name: string;
  readonly architecture: Architecture;
  readonly config: ModelConfig;
  readonly specs: ReadonlyMap<string, TensorSpec>;
  readonly #tensors: ReadonlyMap<string, StoredTensor>;
  readonly #keepWidened: boolean;
  readonly #blockSpecs: readonly TensorSpec[];
  /** Tensors that stay widened, by name. */
  readonly #widened = new Map<string, HostTensor<"float32">>();
  /** Buffers that all blocks share, by path inside the block. */
  readonly #shared = new Map<string, HostTensor<"float32">>();
  #sharedLayer = -1;

  constructor({ name, architecture, config, tensors, keepWidened }: BaseModelParts) {
    this.name = name;
    this.architecture = architecture;
    this.config = config;
    this.#tensors = tensors;
    this.#keepWidened = keepWidened;
    this.#blockSpecs = blockTensors(architecture, config);
    this.specs = new Map(modelTensors(architecture, config).map((spec) => [spec.name, spec]));
  }

  /** Bytes of all tensors as they are kept. */
  get storedBytes(): number {
    let sum = 0;
    for (const { planes } of this.#tensors.values()) {
      for (const { data } of Object.values(planes)) sum += data.byteLength;
    }
    return sum;
  }

  /** A tensor as it is kept. */
  stored(name: string): StoredTensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new RangeError(`Cannot read tensor "${name}": the model has none of this name`);
    return tensor;
  }

  /** A tensor outside the blocks in float32; widened once, then kept. Owned by the model. */
  outer(name: string): HostTensor<"float32"> {
    let tensor = this.#widened.get(name);
    if (!tensor) {
      const stored = this.stored(name);
      tensor = widen(stored, null);
      this.#widened.set(name, tensor);
    }
    return tensor;
  }

  /** The matrix of the output head, [V, D] float32; the embedding's when tied. */
  head(): HostTensor<"float32"> {
    const { names } = this.architecture;
    return this.outer(this.config.tiedHead ? names.embedding : names.head);
  }

  /**
   * The tensors of a block in float32, by path inside the block. They are valid until another block is asked for.
   */
  block(layer: number): Readonly<Record<string, HostTensor<"float32">>> {
    const prefix = this.architecture.names.blockPrefix(layer);
    const fresh = layer !== this.#sharedLayer;
    const tensors: Record<string, HostTensor<"float32">> = {};
    for (const { name } of this.#blockSpecs) {
      const stored = this.stored(prefix + name);
      if (this.#keepWidened || stored.storage === "f32") {
        tensors[name] = this.outer(prefix + name);
        continue;
      }
      let buffer = this.#shared.get(name);
      if (fresh || !buffer) {
        buffer = widen(
          stored,
          buffer ?? hostTensor("float32", stored.shape, new Float32Array(numElements(stored.shape))),
        );
        this.#shared.set(name, buffer);
      }
      tensors[name] = buffer;
    }
    this.#sharedLayer = layer;
    return tensors;
  }
}

/** Widens into a buffer, or into fresh memory (a view for what is float32 already). */
function widen(stored: StoredTensor, into: HostTensor<"float32"> | null): HostTensor<"float32"> {
  if (!into) return hostTensor("float32", stored.shape, dequantize(stored));
  dequantizeInto(stored, into.data);
  return into;
}
