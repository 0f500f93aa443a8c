/**
 * @file Keys and values of one text by heads, [1, K, C, E] in each layer, as ONNX Runtime's attention reads and extends them
 * in place; C doubles when the text outgrows it.
 *
 * The pages of the cache stay what others share and what a text is moved by: each pass copies what is new there, and a
 * text that is not the one of before is copied from there.
 */
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import { PAGE_TOKENS } from "./page-pool.ts";
import type { Sequence } from "./sequence.ts";

/** Keys and values of some tokens in one layer. */
export interface CacheRows {
  readonly key: HostTensor<"float32">;
  readonly value: HostTensor<"float32">;
}

/** The heads of a layer, and its pages, [N, PAGE_TOKENS, K·E] each. */
export interface PagedLayer {
  readonly numHeads: number;
  readonly headWidth: number;
  readonly key: Float32Array;
  readonly value: Float32Array;
}

/** Tokens that there is room for at first. */
const FIRST_TOKENS = 256;

type Place = "pages" | "heads";

export class HeadCache {
  #layers: readonly CacheRows[] = [];
  #capacity = 0;
  #sequence: Sequence | null = null;
  /** Tokens of the sequence that it holds. */
  #length = 0;

  /** Of the longest text. */
  readonly maxTokens: number;

  constructor(maxTokens: number) {
    this.maxTokens = maxTokens;
  }

  /** Makes it that of the computed ids of a text, with room for `count` more. */
  hold(sequence: Sequence, count: number, layers: readonly PagedLayer[]): void {
    const length = sequence.numComputed;
    const isKept = sequence === this.#sequence && length === this.#length;
    const isNew = length + count > this.#capacity;
    if (isNew) this.#grow(length + count, layers);
    if (isNew || !isKept) this.#copy(sequence, 0, length, layers, "pages");
    this.#sequence = sequence;
    this.#length = length;
  }

  /** What a layer's attention reads and extends. */
  rows(layer: number): CacheRows {
    return this.#layers[layer] as CacheRows;
  }

  /** Copies the last `count` tokens, which a pass has computed, to the pages of the text. */
  append(count: number, layers: readonly PagedLayer[]): void {
    this.#copy(this.#sequence as Sequence, this.#length, count, layers, "heads");
    this.#length += count;
  }

  /** Copies tokens from or to the pages; a text may have lost its pages. */
  #copy({ pages }: Sequence, start: number, count: number, layers: readonly PagedLayer[], from: Place): void {
    for (let token = start; token < start + count; token++) {
      const page = pages[Math.floor(token / PAGE_TOKENS)];
      if (page === undefined) return;
      const inPages = (page + 1) * PAGE_TOKENS + (token % PAGE_TOKENS);
      for (const [layer, { numHeads, headWidth, key, value }] of layers.entries()) {
        const own = this.rows(layer);
        for (let head = 0; head < numHeads; head++) {
          const paged = (inPages * numHeads + head) * headWidth;
          const held = (head * this.#capacity + token) * headWidth;
          if (from === "pages") {
            copyNumbers(key, paged, own.key.data, held, headWidth);
            copyNumbers(value, paged, own.value.data, held, headWidth);
          } else {
            copyNumbers(own.key.data, held, key, paged, headWidth);
            copyNumbers(own.value.data, held, value, paged, headWidth);
          }
        }
      }
    }
  }

  #grow(length: number, layers: readonly PagedLayer[]): void {
    const doubled = Math.max(FIRST_TOKENS, 2 * this.#capacity);
    this.#capacity = Math.max(length, Math.min(doubled, this.maxTokens));
    // What was there is copied from the pages.
    this.#layers = [];
    this.#layers = layers.map(({ numHeads, headWidth }) => {
      const make = (): HostTensor<"float32"> => zeros("float32", [1, numHeads, this.#capacity, headWidth]);
      return { key: make(), value: make() };
    });
  }
}

/** As `set` of a part, without an object for so few numbers. */
function copyNumbers(
  from: Float32Array,
  fromStart: number,
  to: Float32Array,
  toStart: number,
  count: number,
): void {
  for (let i = 0; i < count; i++) to[toStart + i] = from[fromStart + i]!;
}
