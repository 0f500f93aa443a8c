/**
 * @file Keys and values of many sequences in pages of one pool, [N, PAGE_TOKENS, K·E] in each layer, which doubles when it is full.
 *
 * A pass lists the pages of its rows; what a row has not filled is of segment 0, which no token looks at, and zero: what is
 * not a number stays none when it is weighed with nothing. A single row may be read by heads instead, in memory of its own
 * that is extended in place (`head-cache.ts`).
 */
import type { Model } from "../models/model.ts";
import { fitsHeadCache } from "../nn/attention.ts";
import type { PassFacts } from "../nn/pass.ts";
import { type HostTensor, hostTensor, zeros } from "../runtime/host-tensor.ts";
import { type CacheRows, HeadCache, type PagedLayer } from "./head-cache.ts";
import { PAGE_TOKENS } from "./page-pool.ts";
import type { Sequence } from "./sequence.ts";

/** How the keys and values of earlier tokens lie: of one row by heads, or in pages that each row lists. */
export type CacheLayout = "heads" | "pages";

/** What a cache must know of a model. */
export type CachedModel = { readonly layers: readonly Pick<Model["layers"][number], "attention">[] };

/** How one row by itself reads the cache of a model. */
export function layoutOfOne({ layers }: CachedModel): CacheLayout {
  return layers.every(({ attention }) => !attention || fitsHeadCache(attention)) ? "heads" : "pages";
}

/** Rows of a pass. All run equally many ids, and have the pages for them. */
export interface PagedRows {
  readonly sequences: readonly Sequence[];
  readonly count: number;
}

interface Layer extends PagedLayer {
  /** Numbers of one position. */
  readonly width: number;
  key: Float32Array<ArrayBuffer>;
  value: Float32Array<ArrayBuffer>;
  fresh: CacheRows | null;
}

/** Of the tokens that pages hold: how many are there again by heads. */
const HEAD_SHARE = 1 / 4;
/** Pages that there is memory for at first. */
const FIRST_PAGES = 4;

/** Bytes of a page in all layers, with its share of what is there again by heads. */
export function pageBytes(model: CachedModel): number {
  const { layers } = model;
  const share = layoutOfOne(model) === "heads" ? HEAD_SHARE : 0;
  const widths = layers.map(({ attention }) =>
    attention ? attention.numKeyValueHeads * attention.headWidth : 0,
  );
  const numbers = 2 * PAGE_TOKENS * widths.reduce((sum, width) => sum + width, 0);
  return (1 + share) * numbers * Float32Array.BYTES_PER_ELEMENT;
}

export class PagedCache {
  readonly #layers: readonly Layer[];
  readonly #maxPages: number;
  /** Pages that there is memory for. Page p lies at p + 1, behind one of zeros. */
  #numPages = 0;
  #numAllocations = 0;
  #pages: HostTensor<"int64"> | null = null;
  /** Of the row that was last read by heads. */
  readonly #heads: HeadCache;
  #layout: CacheLayout = "pages";
  /** 0, 1, 2, …: the positions that rows begin with. */
  #ramp = new BigInt64Array(0);
  #rows: PagedRows = { sequences: [], count: 0 };

  /** `maxPages`: how many it may grow to. */
  constructor({ layers }: CachedModel, maxPages: number) {
    this.#maxPages = maxPages;
    this.#heads = new HeadCache(Math.floor(HEAD_SHARE * maxPages) * PAGE_TOKENS);
    this.#layers = layers.map(({ attention }): Layer => {
      const { numKeyValueHeads = 0, headWidth = 0 } = attention ?? {};
      const [key, value] = [new Float32Array(0), new Float32Array(0)];
      const heads = { numHeads: numKeyValueHeads, headWidth };
      return { ...heads, width: numKeyValueHeads * headWidth, key, value, fresh: null };
    });
  }

  /** How often its memory has been made anew. */
  get numAllocations(): number {
    return this.#numAllocations;
  }

  /** How the rows of a pass are read. */
  get layout(): CacheLayout {
    return this.#layout;
  }

  /** Which pages each row has, [B, M]; null: none are read. */
  get pages(): HostTensor<"int64"> | null {
    return this.#pages;
  }

  /** Whether a text may be read by heads up to so many tokens. */
  holdsByHeads(numTokens: number): boolean {
    return numTokens <= this.#heads.maxTokens;
  }

  /** Says what a pass over the next ids of some rows reads; a single row that is not too long may be read by heads. */
  begin(rows: PagedRows, layout: CacheLayout): PassFacts {
    this.#rows = rows;
    const { sequences, count: length } = rows;
    const numRows = sequences.length;
    this.#reserve(1 + Math.max(...sequences.map(({ pages }) => Math.max(...pages))));
    const [first] = sequences as [Sequence];
    const isOne = layout === "heads";
    this.#layout = layout;
    if (isOne) this.#heads.hold(first, length, this.#layers);
    // One at least: a row without past reads the empty page.
    const numPages = Math.max(1, ...sequences.map(({ numComputed }) => Math.ceil(numComputed / PAGE_TOKENS)));
    const total = (isOne ? first.numComputed : numPages * PAGE_TOKENS) + length;
    const pages = zeros("int64", [numRows, numPages]);
    const positions = new BigInt64Array(numRows * length);
    const keys = {
      positions: new BigInt64Array(numRows * total),
      segments: new Int32Array(numRows * total),
    };
    for (const [row, { numComputed, pages: own }] of sequences.entries()) {
      for (let i = 0; i * PAGE_TOKENS < numComputed; i++)
        pages.data[row * numPages + i] = BigInt(own[i]! + 1);
      const start = row * total;
      keys.positions.set(this.#positionsTo(numComputed), start);
      keys.segments.fill(1, start, start + numComputed);
      keys.segments.fill(1, start + total - length, start + total);
      for (let i = 0; i < length; i++) {
        const position = BigInt(numComputed + i);
        positions[row * length + i] = position;
        keys.positions[start + total - length + i] = position;
      }
    }
    this.#pages = isOne ? null : pages;
    return {
      numRows,
      length,
      positions,
      segments: new Int32Array(numRows * length).fill(1),
      tokenTypes: null,
      keys,
      isPromptEnd: (row, index) => {
        const { numComputed, numPrompt } = sequences[row] as Sequence;
        return numComputed + index === numPrompt - 1;
      },
      // Row i has the i-th of the adapters that lie side by side.
      adapterOf: null,
    };
  }

  /** Makes room for pages; layer by layer, so that no more than one is there twice. */
  #reserve(numPages: number): void {
    if (numPages <= this.#numPages) return;
    this.#numPages = Math.min(this.#maxPages, Math.max(numPages, 2 * this.#numPages, FIRST_PAGES));
    this.#numAllocations++;
    for (const layer of this.#layers) {
      const grow = (old: Float32Array): Float32Array<ArrayBuffer> => {
        const grown = new Float32Array((this.#numPages + 1) * PAGE_TOKENS * layer.width);
        grown.set(old);
        return grown;
      };
      layer.key = grow(layer.key);
      layer.value = grow(layer.value);
    }
  }

  #positionsTo(length: number): BigInt64Array {
    if (length > this.#ramp.length)
      this.#ramp = BigInt64Array.from({ length: 2 * length }, (_, i) => BigInt(i));
    return this.#ramp.subarray(0, length);
  }

  /** Of one row, [1, K, C, E], where it is read by heads; else of all pages, [N, PAGE_TOKENS, K·E]. */
  past(layer: number): CacheRows {
    if (this.#layout === "heads") return this.#heads.rows(layer);
    const { key, value, width } = this.#layers[layer] as Layer;
    const whole = (data: Float32Array<ArrayBuffer>): HostTensor<"float32"> =>
      hostTensor("float32", [this.#numPages + 1, PAGE_TOKENS, width], data);
    return { key: whole(key), value: whole(value) };
  }

  /** Memory for those of the new tokens of a pass, [B, T, K·E]; null: they are written to what it reads. */
  fresh(layer: number): CacheRows | null {
    const { sequences, count } = this.#rows;
    if (this.#layout === "heads") return null;
    const own = this.#layers[layer] as Layer;
    const shape = [sequences.length, count, own.width];
    const size = shape.reduce((product, n) => product * n, 1);
    if (own.fresh && own.fresh.key.data.length >= size) {
      const cut = ({ data }: HostTensor<"float32">): HostTensor<"float32"> =>
        hostTensor("float32", shape, data.subarray(0, size));
      return { key: cut(own.fresh.key), value: cut(own.fresh.value) };
    }
    return (own.fresh = { key: zeros("float32", shape), value: zeros("float32", shape) });
  }

  /** Keeps the keys and values that the pass has written, in the pages of its rows. */
  append(): void {
    const { sequences, count } = this.#rows;
    if (this.#layout === "heads") this.#heads.append(count, this.#layers);
    for (const { width, key, value, fresh } of this.#layers) {
      for (const [row, { numComputed, pages }] of sequences.entries()) {
        for (let i = 0; i < count;) {
          const position = numComputed + i;
          const inPage = position % PAGE_TOKENS;
          const run = Math.min(count - i, PAGE_TOKENS - inPage);
          const page = pages[Math.floor(position / PAGE_TOKENS)];
          // The row has ended while the pass ran.
          if (page === undefined) break;
          const at = ((page + 1) * PAGE_TOKENS + inPage) * width;
          if (this.#layout === "pages" && fresh) {
            const [from, to] = [(row * count + i) * width, (row * count + i + run) * width];
            key.set(fresh.key.data.subarray(from, to), at);
            value.set(fresh.value.data.subarray(from, to), at);
          }
          // What the page held before, behind its first positions.
          const end = (page + 2) * PAGE_TOKENS * width;
          if (inPage === 0) for (const data of [key, value]) data.fill(0, at + run * width, end);
          i += run;
        }
      }
    }
  }
}
