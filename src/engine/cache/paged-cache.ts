/**
 * @file Keys and values of many sequences in pages of one pool, [N, PAGE_TOKENS, K·E] in each layer, which doubles when it is full.
 *
 * A pass lists the pages of its rows; what a row has not filled is of segment 0, which no token looks at, and zero: what is
 * not a number stays none when it is weighed with nothing. Rows may be read by heads instead, in memory of their own that is
 * extended in place (`head-cache.ts`).
 */
import type { Model } from "../../models/model.ts";
import { fitsHeadCache } from "../../nn/attention.ts";
import type { PassFacts } from "../../nn/pass.ts";
import { type HostTensor, hostTensor, zeros } from "../../runtime/host-tensor.ts";
import { type CacheRows, HeadCache, type PagedLayer } from "./head-cache.ts";
import { PAGE_TOKENS } from "./page-pool.ts";
import type { Sequence } from "./sequence.ts";

/** How the keys and values of earlier tokens lie: by heads, or in pages that each row lists. */
export type CacheLayout = "heads" | "pages";

/** What a cache must know of a model. */
export type CachedModel = { readonly layers: readonly Pick<Model["layers"][number], "attention">[] };

/** How the cache of a model is read while there is room. */
export function bestLayout({ layers }: CachedModel): CacheLayout {
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

const MIN_USUAL_BYTES = 512e6;
const MAX_USUAL_BYTES = 2e9;

/** Pages that there is memory for at first. */
const FIRST_PAGES = 4;

/** Bytes of a page in all layers, with as much for what is there again by heads. */
export function pageBytes(model: CachedModel): number {
  const { layers } = model;
  const numCopies = bestLayout(model) === "heads" ? 2 : 1;
  const widths = layers.map(({ attention }) =>
    attention ? attention.numKeyValueHeads * attention.headWidth : 0,
  );
  const numbers = 2 * PAGE_TOKENS * widths.reduce((sum, width) => sum + width, 0);
  return numCopies * numbers * Float32Array.BYTES_PER_ELEMENT;
}

/** Bytes of the pages of one text as long as the model allows: its last token needs none, but a text ends behind it. */
export function textBytes(model: CachedModel & { readonly maxKeptPositions: number }): number {
  return pageBytes(model) * Math.ceil((model.maxKeptPositions + 1) / PAGE_TOKENS);
}

/** Bytes of keys and values where nobody says how many: of one text as long as the model allows, within bounds. */
export function usualCacheBytes(model: Parameters<typeof textBytes>[0]): number {
  return Math.min(MAX_USUAL_BYTES, Math.max(MIN_USUAL_BYTES, textBytes(model)));
}

export class PagedCache {
  readonly #layers: readonly Layer[];
  readonly #maxPages: number;
  /** Pages that there is memory for. Page p lies at p + 1, behind one of zeros. */
  #numPages = 0;
  #pages: HostTensor<"int64"> | null = null;
  /** Of rows that are read by heads. */
  readonly #heads: HeadCache;
  readonly #best: CacheLayout;
  #layout: CacheLayout = "pages";
  /** 0, 1, 2, …: the positions that rows begin with. */
  #ramp = new BigInt64Array(0);
  #rows: PagedRows = { sequences: [], count: 0 };

  /** `maxPages`: how many it may grow to. */
  constructor(model: CachedModel, maxPages: number) {
    const { layers } = model;
    this.#maxPages = maxPages;
    this.#best = bestLayout(model);
    this.#heads = new HeadCache(maxPages * PAGE_TOKENS);
    this.#layers = layers.map(({ attention }): Layer => {
      const { numKeyValueHeads = 0, headWidth = 0 } = attention ?? {};
      const [key, value] = [new Float32Array(0), new Float32Array(0)];
      const heads = { numHeads: numKeyValueHeads, headWidth };
      return { ...heads, width: numKeyValueHeads * headWidth, key, value, fresh: null };
    });
  }

  /** How the rows of a pass are read. */
  get layout(): CacheLayout {
    return this.#layout;
  }

  /** Whether a pass runs ids of one prompt. */
  get isPrompt(): boolean {
    const { sequences, count } = this.#rows;
    return sequences.length === 1 && sequences.every((row) => row.numComputed + count <= row.numPrompt);
  }

  /** Which pages each row has, [B, M]; null: none are read. */
  get pages(): HostTensor<"int64"> | null {
    return this.#pages;
  }

  /** How a pass over the next ids of some rows is to read them. */
  layoutFor({ sequences, count }: PagedRows): CacheLayout {
    const length = count + Math.max(...sequences.map(({ numComputed }) => numComputed));
    // Several rows by heads run one id each.
    const mayBe = this.#best === "heads" && (sequences.length === 1 || count === 1);
    return mayBe && this.#heads.canHold(sequences.length, length) ? "heads" : "pages";
  }

  /** An order of rows in which the fewest are moved. */
  arrange(sequences: readonly Sequence[]): number[] {
    return this.#heads.arrange(sequences);
  }

  /** Lets others have the memory of a text by heads. */
  forget(sequence: Sequence): void {
    this.#heads.forget(sequence);
  }

  /** Says what a pass over the next ids of some rows reads. */
  begin(rows: PagedRows, layout = this.layoutFor(rows)): PassFacts {
    this.#rows = rows;
    this.#layout = layout;
    const { sequences, count: length } = rows;
    this.#reserve(1 + Math.max(...sequences.map(({ pages }) => Math.max(...pages))));
    this.#pages = null;
    if (layout === "heads") this.#heads.hold(sequences, length, this.#layers);
    else this.#pages = pagesOf(rows);
    const positions = new BigInt64Array(sequences.length * length);
    for (const [row, { numComputed }] of sequences.entries()) {
      for (let i = 0; i < length; i++) positions[row * length + i] = BigInt(numComputed + i);
    }
    return {
      numRows: sequences.length,
      length,
      positions,
      segments: new Int32Array(sequences.length * length).fill(1),
      tokenTypes: null,
      keys: this.#pages && this.#keysIn(this.#pages, positions),
      isPromptEnd: (row, index) => {
        const { numComputed, numPrompt } = sequences[row] as Sequence;
        return numComputed + index === numPrompt - 1;
      },
    };
  }

  /** Positions and segments of all tokens that rows look at: those of their pages, then the new ones. */
  #keysIn({ shape }: HostTensor<"int64">, newPositions: BigInt64Array): PassFacts["keys"] {
    const { sequences, count: length } = this.#rows;
    const [numRows, numPages] = shape as [number, number];
    const total = numPages * PAGE_TOKENS + length;
    const positions = new BigInt64Array(numRows * total);
    const segments = new Int32Array(numRows * total);
    for (const [row, { numComputed }] of sequences.entries()) {
      const [start, end] = [row * total, (row + 1) * total];
      positions.set(this.#positionsTo(numComputed), start);
      positions.set(newPositions.subarray(row * length, (row + 1) * length), end - length);
      segments.fill(1, start, start + numComputed).fill(1, end - length, end);
    }
    return { positions, segments };
  }

  /** Makes room for pages; layer by layer, so that no more than one is there twice. */
  #reserve(numPages: number): void {
    if (numPages <= this.#numPages) return;
    this.#numPages = Math.min(this.#maxPages, Math.max(numPages, 2 * this.#numPages, FIRST_PAGES));
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

  /** Of rows that are read by heads, [B, K, C, E]; else of all pages, [N, PAGE_TOKENS, K·E]. */
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

/** Which pages rows have of their computed ids, [B, M]; one at least, the empty one of a row without. */
function pagesOf({ sequences }: PagedRows): HostTensor<"int64"> {
  const counts = sequences.map(({ numComputed }) => Math.ceil(numComputed / PAGE_TOKENS));
  const numPages = Math.max(1, ...counts);
  const pages = zeros("int64", [sequences.length, numPages]);
  for (const [row, { pages: own }] of sequences.entries()) {
    for (let i = 0; i < counts[row]!; i++) pages.data[row * numPages + i] = BigInt(own[i]! + 1);
  }
  return pages;
}
