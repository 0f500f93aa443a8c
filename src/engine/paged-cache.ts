/**
 * @file Keys and values of many sequences in pages of one pool, [N, PAGE_TOKENS, K, E] in each layer.
 *
 * A pass lists the pages of its rows; what a row has not filled is of segment 0, which no token looks at, and zero: what is
 * not a number stays none when it is weighed with nothing.
 */
import type { Model } from "../models/model.ts";
import type { PassFacts } from "../nn/pass.ts";
import { type HostTensor, hostTensor, zeros } from "../runtime/host-tensor.ts";
import type { CacheRows, CachedModel, PastKeys } from "./kv-cache.ts";
import { PAGE_TOKENS } from "./page-pool.ts";
import type { Sequence } from "./sequence.ts";

/** Rows of a pass. All run equally many ids, and have the pages for them. */
export interface PagedRows {
  readonly sequences: readonly Sequence[];
  readonly count: number;
  /** Which adapter each row has, where several are side by side. */
  readonly adapterOf: readonly number[] | null;
}

interface Layer {
  readonly shape: readonly [numHeads: number, headWidth: number];
  /** Numbers of one position. */
  readonly width: number;
  readonly key: HostTensor<"float32">;
  readonly value: HostTensor<"float32">;
  fresh: CacheRows | null;
}

/** Bytes of a page in all layers. */
export function pageBytes({ layers }: CachedModel): number {
  const widths = layers.map(({ attention }) =>
    attention ? attention.numKeyValueHeads * attention.headWidth : 0,
  );
  const numbers = 2 * PAGE_TOKENS * widths.reduce((sum, width) => sum + width, 0);
  return numbers * Float32Array.BYTES_PER_ELEMENT;
}

export class PagedCache implements PastKeys {
  readonly #layers: readonly Layer[];
  /** A page of zeros, behind all others. */
  readonly #emptyPage: number;
  #pages: HostTensor<"int64"> = zeros("int64", [0, 0]);
  /** 0, 1, 2, …: the positions that rows begin with. */
  #ramp = new BigInt64Array(0);
  #rows: PagedRows = { sequences: [], count: 0, adapterOf: null };

  constructor({ layers }: Model, numPages: number) {
    this.#emptyPage = numPages;
    this.#layers = layers.map(({ attention }): Layer => {
      const { numKeyValueHeads = 0, headWidth = 0 } = attention ?? {};
      const pool = (): HostTensor<"float32"> =>
        zeros("float32", [numPages + 1, PAGE_TOKENS, numKeyValueHeads, headWidth]);
      const shape = [numKeyValueHeads, headWidth] as const;
      return { shape, width: numKeyValueHeads * headWidth, key: pool(), value: pool(), fresh: null };
    });
  }

  get pages(): HostTensor<"int64"> {
    return this.#pages;
  }

  /** Says what a pass over the next ids of some rows reads. */
  begin(rows: PagedRows): PassFacts {
    this.#rows = rows;
    const { sequences, count: length, adapterOf } = rows;
    const numRows = sequences.length;
    // One at least: a row without past reads the empty page.
    const numPages = Math.max(1, ...sequences.map(({ numComputed }) => Math.ceil(numComputed / PAGE_TOKENS)));
    const total = numPages * PAGE_TOKENS + length;
    const pages = zeros("int64", [numRows, numPages]);
    pages.data.fill(BigInt(this.#emptyPage));
    const positions = new BigInt64Array(numRows * length);
    const keys = {
      positions: new BigInt64Array(numRows * total),
      segments: new Int32Array(numRows * total),
    };
    for (const [row, { numComputed, pages: own }] of sequences.entries()) {
      for (let i = 0; i * PAGE_TOKENS < numComputed; i++) pages.data[row * numPages + i] = BigInt(own[i]!);
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
    this.#pages = pages;
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
      adapterOf,
    };
  }

  #positionsTo(length: number): BigInt64Array {
    if (length > this.#ramp.length)
      this.#ramp = BigInt64Array.from({ length: 2 * length }, (_, i) => BigInt(i));
    return this.#ramp.subarray(0, length);
  }

  past(layer: number): CacheRows {
    const { key, value } = this.#layers[layer] as Layer;
    return { key, value };
  }

  fresh(layer: number, numTokens: number): CacheRows {
    const own = this.#layers[layer] as Layer;
    const shape = [this.#rows.sequences.length, numTokens, ...own.shape];
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
    for (const { width, key, value, fresh } of this.#layers) {
      if (!fresh) continue;
      for (const [row, { numComputed, pages }] of sequences.entries()) {
        for (let i = 0; i < count;) {
          const position = numComputed + i;
          const inPage = position % PAGE_TOKENS;
          const run = Math.min(count - i, PAGE_TOKENS - inPage);
          const page = pages[Math.floor(position / PAGE_TOKENS)];
          // The row has ended while the pass ran.
          if (page === undefined) break;
          const [from, to] = [(row * count + i) * width, (row * count + i + run) * width];
          const at = (page * PAGE_TOKENS + inPage) * width;
          key.data.set(fresh.key.data.subarray(from, to), at);
          value.data.set(fresh.value.data.subarray(from, to), at);
          if (inPage === 0) this.#clearFrom(page, run, { width, key, value });
          i += run;
        }
      }
    }
  }

  /** Clears what a page held before behind its first positions. */
  #clearFrom(
    page: number,
    start: number,
    { width, key, value }: Pick<Layer, "width" | "key" | "value">,
  ): void {
    const [from, to] = [(page * PAGE_TOKENS + start) * width, (page + 1) * PAGE_TOKENS * width];
    key.data.fill(0, from, to);
    value.data.fill(0, from, to);
  }
}
