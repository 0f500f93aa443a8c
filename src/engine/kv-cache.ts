/**
 * @file Keys and values of one sequence, layer by layer, for attention to read again with every new token.
 *
 * Time comes first in memory, [capacity, K, E], so the rows of the first P tokens are one contiguous prefix that a
 * program takes as [1, P, K, E], and a program writes the rows of new tokens straight behind them. A full cache doubles,
 * so that one sequence allocates O(log length) times.
 */
import type { Model } from "../models/model.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";

/** Tokens that a cache has room for at first. */
const FIRST_CAPACITY = 64;

/** Keys and values of some tokens in one layer, each [B, tokens, K, E]. */
export interface CacheRows {
  readonly key: HostTensor<"float32">;
  readonly value: HostTensor<"float32">;
}

/** Where programs read the keys and values of earlier tokens, and write those of new ones. */
export interface PastKeys {
  /** Which pages each row has, [B, M], where they lie in pages; null: they lie row by row. */
  readonly pages: HostTensor<"int64"> | null;
  /** Of all earlier tokens, [B, P, K, E]; or of all pages, [N, S, K, E]. */
  past(layer: number): CacheRows;
  /** Memory for those of new tokens, [B, T, K, E]. */
  fresh(layer: number, numTokens: number): CacheRows;
}

/** Sizes and buffers of one layer. */
interface Layer {
  readonly numKeyValueHeads: number;
  readonly headWidth: number;
  readonly rowLength: number;
  key: Float32Array<ArrayBuffer>;
  value: Float32Array<ArrayBuffer>;
}

/** What a cache must know of a model. */
export type CachedModel = { readonly layers: readonly Pick<Model["layers"][number], "attention">[] };

export class KvCache implements PastKeys {
  readonly pages = null;
  readonly #layers: readonly Layer[];
  #capacity = 0;
  #length = 0;
  #numAllocations = 0;

  constructor({ layers }: CachedModel) {
    this.#layers = layers.map(({ attention }) => {
      const { numKeyValueHeads = 0, headWidth = 0 } = attention ?? {};
      const [key, value] = [new Float32Array(0), new Float32Array(0)];
      return { numKeyValueHeads, headWidth, rowLength: numKeyValueHeads * headWidth, key, value };
    });
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
    const rowLengths = this.#layers.reduce((sum, { rowLength }) => sum + rowLength, 0);
    return 2 * rowLengths * this.#capacity * Float32Array.BYTES_PER_ELEMENT;
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
    const grow = (old: Float32Array, rowLength: number): Float32Array<ArrayBuffer> => {
      const grown = new Float32Array(this.#capacity * rowLength);
      grown.set(old.subarray(0, this.#length * rowLength));
      return grown;
    };
    for (const layer of this.#layers) {
      layer.key = grow(layer.key, layer.rowLength);
      layer.value = grow(layer.value, layer.rowLength);
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
    const { rowLength } = buffers;
    const shape = [1, numTokens, buffers.numKeyValueHeads, buffers.headWidth];
    const view = (buffer: Float32Array): HostTensor<"float32"> =>
      hostTensor("float32", shape, buffer.subarray(from * rowLength, (from + numTokens) * rowLength));
    return { key: view(buffers.key), value: view(buffers.value) };
  }
}
