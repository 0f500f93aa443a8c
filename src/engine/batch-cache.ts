/**
 * @file Keys and values of several sequences side by side, [B, capacity, K, E] in each layer.
 *
 * All rows have the same slots, so that programs read the buffers as they are; what a row has not filled is of segment 0,
 * which no token looks at. Full buffers double.
 */
import type { Model } from "../models/model.ts";
import type { PassFacts } from "../nn/pass.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import type { CacheRows, PastKeys } from "./kv-cache.ts";

/** Slots that there are at first. */
const FIRST_CAPACITY = 64;

interface Layer {
  /** Numbers of one slot of a row. */
  readonly width: number;
  readonly shape: readonly [numHeads: number, headWidth: number];
  key: Float32Array<ArrayBuffer>;
  value: Float32Array<ArrayBuffer>;
  fresh: CacheRows | null;
}

/** Tokens that a pass adds to each row. */
export interface NewTokens {
  /** Tokens of the longest row; those of the others are padding behind their own. */
  readonly length: number;
  /** Of each row; 0: it only waits. */
  readonly counts: readonly number[];
  /** Whether a row's last new token ends its prompt. */
  readonly endsPrompt: readonly boolean[];
  readonly adapterOf: readonly number[];
}

export class BatchCache implements PastKeys {
  readonly pages = null;
  readonly #numRows: number;
  readonly #layers: readonly Layer[];
  #capacity = 0;
  /** Slots that have been written in. */
  #numSlots = 0;
  /** Tokens of each row. */
  readonly #lengths: number[];
  /** Of each slot, [B, capacity]. */
  #positions = new BigInt64Array(0);
  #segments = new Int32Array(0);

  constructor({ layers }: Model, numRows: number) {
    this.#numRows = numRows;
    this.#lengths = Array.from({ length: numRows }, () => 0);
    this.#layers = layers.map(({ attention }): Layer => {
      const { numKeyValueHeads = 0, headWidth = 0 } = attention ?? {};
      const [key, value] = [new Float32Array(0), new Float32Array(0)];
      const shape = [numKeyValueHeads, headWidth] as const;
      return { width: numKeyValueHeads * headWidth, shape, key, value, fresh: null };
    });
  }

  /** Makes room for the next tokens, and says what a pass over them reads. */
  begin({ length, counts, endsPrompt, adapterOf }: NewTokens): PassFacts {
    this.#reserve(this.#numSlots + length);
    const total = this.#capacity + length;
    const positions = new BigInt64Array(this.#numRows * length);
    const segments = new Int32Array(this.#numRows * length);
    const keys = {
      positions: new BigInt64Array(this.#numRows * total),
      segments: new Int32Array(this.#numRows * total),
    };
    for (let row = 0; row < this.#numRows; row++) {
      for (let i = 0; i < (counts[row] ?? 0); i++) {
        positions[row * length + i] = BigInt(this.#lengths[row]! + i);
        segments[row * length + i] = 1;
      }
      const [from, to] = [row * this.#capacity, (row + 1) * this.#capacity];
      keys.positions.set(this.#positions.subarray(from, to), row * total);
      keys.segments.set(this.#segments.subarray(from, to), row * total);
      const [start, end] = [row * length, (row + 1) * length];
      keys.positions.set(positions.subarray(start, end), row * total + this.#capacity);
      keys.segments.set(segments.subarray(start, end), row * total + this.#capacity);
    }
    const isPromptEnd = (row: number, index: number): boolean =>
      endsPrompt[row] === true && index === (counts[row] ?? 0) - 1;
    return {
      numRows: this.#numRows,
      length,
      positions,
      segments,
      tokenTypes: null,
      keys,
      isPromptEnd,
      adapterOf,
    };
  }

  past(layer: number): CacheRows {
    const { key, value, shape } = this.#layers[layer] as Layer;
    const whole = (data: Float32Array<ArrayBuffer>): HostTensor<"float32"> =>
      hostTensor("float32", [this.#numRows, this.#capacity, ...shape], data);
    return { key: whole(key), value: whole(value) };
  }

  fresh(layer: number, numTokens: number): CacheRows {
    const own = this.#layers[layer] as Layer;
    const empty = (): HostTensor<"float32"> => {
      const data = new Float32Array(this.#numRows * numTokens * own.width);
      return hostTensor("float32", [this.#numRows, numTokens, ...own.shape], data);
    };
    if (own.fresh?.key.shape[1] !== numTokens) own.fresh = { key: empty(), value: empty() };
    return own.fresh;
  }

  /** Keeps the keys and values that a pass has written for these tokens. */
  append({ length, counts }: Pick<NewTokens, "length" | "counts">): void {
    for (const { width, key, value, fresh } of this.#layers) {
      for (let row = 0; row < this.#numRows; row++) {
        const [from, to] = [row * length * width, (row * length + (counts[row] ?? 0)) * width];
        const at = (row * this.#capacity + this.#numSlots) * width;
        if (fresh) key.set(fresh.key.data.subarray(from, to), at);
        if (fresh) value.set(fresh.value.data.subarray(from, to), at);
      }
    }
    for (const [row, count] of counts.entries()) {
      for (let i = 0; i < count; i++) {
        const slot = row * this.#capacity + this.#numSlots + i;
        this.#positions[slot] = BigInt(this.#lengths[row]! + i);
        this.#segments[slot] = 1;
      }
      this.#lengths[row]! += count;
    }
    this.#numSlots += length;
  }

  #reserve(numSlots: number): void {
    if (numSlots <= this.#capacity) return;
    const old = this.#capacity;
    this.#capacity = Math.max(numSlots, 2 * old, FIRST_CAPACITY);
    const grow = <A extends Float32Array | BigInt64Array | Int32Array>(
      from: A,
      into: A,
      width: number,
    ): A => {
      for (let row = 0; row < this.#numRows; row++) {
        const rows = from.subarray(row * old * width, (row + 1) * old * width);
        (into as { set(values: A, at: number): void }).set(rows as A, row * this.#capacity * width);
      }
      return into;
    };
    const size = this.#numRows * this.#capacity;
    for (const layer of this.#layers) {
      layer.key = grow(layer.key, new Float32Array(size * layer.width), layer.width);
      layer.value = grow(layer.value, new Float32Array(size * layer.width), layer.width);
    }
    this.#positions = grow(this.#positions, new BigInt64Array(size), 1);
    this.#segments = grow(this.#segments, new Int32Array(size), 1);
  }
}
