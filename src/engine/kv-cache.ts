/**
 * @file Keys and values of one sequence, layer by layer, for attention to read again with every new token.
 *
 * Time comes first in memory, [capacity, K, E], so the rows of the first P tokens are one contiguous prefix that a
 * program takes as [1, P, K, E], and a program writes the rows of new tokens straight behind them. A full cache doubles,
 * so that one sequence allocates O(log length) times.
 */
import type { ModelConfig } from "../models/architecture.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";

/** Tokens that a cache has room for at first. */
const FIRST_CAPACITY = 64;

/** Keys and values of some tokens in one layer, each [1, tokens, K, E]. */
export interface CacheRows {
  readonly key: HostTensor<"float32">;
  readonly value: HostTensor<"float32">;
}

/** Buffers of one layer. */
interface Layer {
  key: Float32Array<ArrayBuffer>;
  value: Float32Array<ArrayBuffer>;
}

export class KvCache {
  readonly #rowShape: readonly [numKeyValueHeads: number, headWidth: number];
  readonly #rowLength: number;
  readonly #layers: readonly Layer[];
  #capacity = 0;
  #length = 0;
  #numAllocations = 0;

  constructor({
    numLayers,
    numKeyValueHeads,
    headWidth,
  }: Pick<ModelConfig, "numLayers" | "numKeyValueHeads" | "headWidth">) {
    this.#rowShape = [numKeyValueHeads, headWidth];
    this.#rowLength = numKeyValueHeads * headWidth;
    this.#layers = Array.from({ length: numLayers }, () => ({
      key: new Float32Array(0),
      value: new Float32Array(0),
    }));
  }

  /** Tokens in the cache. */
  get length(): number {
    return this.#length;
  }

  /** Tokens that there is room for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Bytes of all buffers. */
  get allocatedBytes(): number {
    return 2 * this.#layers.length * this.#capacity * this.#rowLength * Float32Array.BYTES_PER_ELEMENT;
  }

  /** How often the buffers have been made anew. */
  get numAllocations(): number {
    return this.#numAllocations;
  }

  /** Makes room for `numTokens` tokens in all. Views that were taken before are no longer part of the cache. */
  reserve(numTokens: number): void {
    if (numTokens <= this.#capacity) return;
    this.#capacity = Math.max(numTokens, 2 * this.#capacity, FIRST_CAPACITY);
    this.#numAllocations++;
    const grow = (old: Float32Array): Float32Array<ArrayBuffer> => {
      const grown = new Float32Array(this.#capacity * this.#rowLength);
      grown.set(old.subarray(0, this.#length * this.#rowLength));
      return grown;
    };
    for (const layer of this.#layers) {
      layer.key = grow(layer.key);
      layer.value = grow(layer.value);
    }
  }

  /** The rows of all cached tokens, as views. */
  past(layer: number): CacheRows {
    return this.#rows(layer, 0, this.#length);
  }

  /** Where the rows of the next `numTokens` tokens go, as views; call `reserve` first and `append` after. */
  fresh(layer: number, numTokens: number): CacheRows {
    if (this.#length + numTokens > this.#capacity) {
      throw new RangeError(
        `Cannot cache ${numTokens} tokens after ${this.#length}: there is room for ${this.#capacity}`,
      );
    }
    return this.#rows(layer, this.#length, numTokens);
  }

  /** Counts tokens in whose rows have been written in every layer. */
  append(numTokens: number): void {
    this.#length += numTokens;
  }

  /** Forgets all tokens but the first `numTokens`; the buffers stay. */
  truncate(numTokens: number): void {
    this.#length = Math.min(this.#length, numTokens);
  }

  #rows(layer: number, from: number, numTokens: number): CacheRows {
    const buffers = this.#layers[layer] as Layer;
    const shape = [1, numTokens, ...this.#rowShape];
    const view = (buffer: Float32Array): HostTensor<"float32"> =>
      hostTensor(
        "float32",
        shape,
        buffer.subarray(from * this.#rowLength, (from + numTokens) * this.#rowLength),
      );
    return { key: view(buffers.key), value: view(buffers.value) };
  }
}
