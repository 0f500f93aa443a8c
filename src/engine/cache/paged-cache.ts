/**
 * @file Keys and values of many sequences in pages of one pool, [N, PAGE_TOKENS, K·E] in each layer, which grows in place.
 *
 * A pass lists the pages of its rows. Positions that a row has not filled have segment 0, which no token attends to, and are
 * zero, since NaN times a weight of 0 is NaN. Rows may be read by heads instead, in separate memory that is extended in place
 * (`head-cache.ts`). Layers that look back only at the last few tokens keep only those of each page.
 */
import { CapacityError } from "../../errors.ts";
import type { Model } from "../../models/model.ts";
import { fitsHeadCache } from "../../nn/attention.ts";
import { Growing } from "../../runtime/memory/growing.ts";
import { HeadCache } from "./head-cache.ts";
import { PAGE_TOKENS } from "./page-pool.ts";
import { type CacheLayout, type PageSizes, PagedPass, type PagedRows, type PoolLayer } from "./paged-pass.ts";
import type { Sequence } from "./sequence.ts";
import { StateCache } from "./state-cache.ts";

type CachedLayer = Pick<Model["layers"][number], "attention" | "keysFrom" | "recent" | "states">;
type CachedModel = { readonly layers: readonly CachedLayer[] };

/** How the cache of a model is read while there is room. No layer can read what another extends in place. */
export function bestLayout({ layers }: CachedModel): CacheLayout {
  const byHeads = ({ attention, keysFrom }: CachedLayer): boolean =>
    !attention || (fitsHeadCache(attention) && keysFrom === null);
  return layers.every(byHeads) ? "heads" : "pages";
}

const MIN_USUAL_BYTES = 512e6;
const MAX_USUAL_BYTES = 2e9;

/** Pages for which memory is allocated at first. */
const FIRST_PAGES = 4;

/** Sizes of the pages of a layer: zero where it reads those of another layer. */
function pageSizes({ attention, keysFrom, recent }: CachedLayer): PageSizes {
  const { numKeyValueHeads: numHeads = 0, headWidth = 0 } = (keysFrom === null ? attention : null) ?? {};
  const { count = null, width = 2 * numHeads * headWidth } = recent ?? {};
  const numRows = Math.min(PAGE_TOKENS, count ?? PAGE_TOKENS);
  return { numHeads, headWidth, width: width / 2, numRows, numRecent: count };
}

/** Bytes of a page in all layers, including the copy by heads where there is one. */
export function pageBytes(model: CachedModel): number {
  const isHeld = bestLayout(model) === "heads";
  const numbers = model.layers.map(pageSizes).map(({ numRows, width, numRecent }) => {
    const numCopies = isHeld && numRecent === null ? 2 : 1;
    return numCopies * 2 * numRows * width;
  });
  return numbers.reduce((sum, size) => sum + size, 0) * Float32Array.BYTES_PER_ELEMENT;
}

/** Bytes of the pages of one text as long as the model allows, with one position more, at which the text ends. */
export function textBytes(model: CachedModel & { readonly maxPositions: number }): number {
  return pageBytes(model) * Math.ceil((model.maxPositions + 1) / PAGE_TOKENS);
}

/** Default bytes for keys and values: those of one text as long as the model allows, within bounds. */
export function usualCacheBytes(model: Parameters<typeof textBytes>[0]): number {
  return Math.min(MAX_USUAL_BYTES, Math.max(MIN_USUAL_BYTES, textBytes(model)));
}

/** How many pages fit into `cacheBytes`. @throws CapacityError "capacity/memory" for fewer than one */
export function pagesIn(cacheBytes: number, model: CachedModel): number {
  const bytesEach = pageBytes(model);
  if (cacheBytes >= bytesEach) return Math.floor(cacheBytes / bytesEach);
  throw new CapacityError(
    "capacity/memory",
    `Cannot keep keys and values in ${cacheBytes} bytes: a page takes ${bytesEach}`,
    { hint: "Give the cache more memory." },
  );
}

export class PagedCache {
  readonly #layers: readonly PoolLayer[];
  /** Memory of the pages of each layer. */
  readonly #memory: readonly { readonly keys: Growing; readonly values: Growing }[];
  readonly #maxPages: number;
  /** Pages for which memory is allocated. Page p lies at p + 1, after a page of zeros. */
  #numPages = 0;
  /** Keys and values of rows that are read by heads. */
  readonly #heads: HeadCache;
  readonly #states: StateCache;
  readonly #best: CacheLayout;
  /** 0, 1, 2, …: the positions that rows begin with. */
  #ramp = new BigInt64Array(0);

  /** `maxPages`: most pages that the cache may grow to. */
  constructor(model: CachedModel, maxPages: number) {
    const { layers } = model;
    this.#maxPages = maxPages;
    this.#best = bestLayout(model);
    this.#heads = new HeadCache(maxPages * PAGE_TOKENS);
    this.#states = new StateCache(layers);
    this.#layers = layers.map((layer): PoolLayer => {
      const [key, value] = [new Float32Array(0), new Float32Array(0)];
      return { ...pageSizes(layer), key, value, fresh: null };
    });
    this.#memory = this.#layers.map(({ numRows, width }) => {
      const maxLength = (maxPages + 1) * numRows * width;
      return { keys: new Growing(maxLength), values: new Growing(maxLength) };
    });
  }

  /** How a pass over the next ids of some rows should read them. */
  layoutFor({ sequences, count }: PagedRows): CacheLayout {
    const length = count + Math.max(...sequences.map(({ numComputed }) => numComputed));
    // By heads, several rows can run one id each only.
    const mayBe =
      this.#best === "heads" &&
      (sequences.length === 1 || count === 1) &&
      // Attention by heads looks up the rotation of a position at that row; the rows of long texts lie behind those of others.
      !sequences.some(({ isLong }) => isLong);
    return mayBe && this.#heads.canHold(sequences.length, length) ? "heads" : "pages";
  }

  /** An order of rows that moves the fewest. */
  arrange(sequences: readonly Sequence[]): number[] {
    return this.#heads.arrange(sequences);
  }

  /** Frees the memory of a text that has ended. */
  forget(sequence: Sequence): void {
    this.#heads.forget(sequence);
    this.#states.prune();
  }

  /** Begins a pass over the next ids of some rows. Only one pass by heads may run at a time. */
  begin(rows: PagedRows, layout = this.layoutFor(rows)): PagedPass {
    const { sequences, count } = rows;
    this.#states.prune();
    this.#reserve(1 + Math.max(...sequences.map(({ pages }) => Math.max(...pages))));
    if (layout === "heads") this.#heads.hold(sequences, count, this.#layers);
    const ramp = this.#positionsTo(Math.max(...sequences.map(({ numComputed }) => numComputed)));
    return new PagedPass({
      rows,
      layout,
      layers: this.#layers,
      heads: this.#heads,
      states: this.#states,
      ramp,
    });
  }

  /** Allocates memory for pages. @throws CapacityError "capacity/memory" */
  #reserve(numPages: number): void {
    if (numPages <= this.#numPages) return;
    const grown = Math.min(this.#maxPages, Math.max(numPages, 2 * this.#numPages, FIRST_PAGES));
    for (const [layer, { keys, values }] of this.#memory.entries()) {
      const own = this.#layers[layer]!;
      const length = (grown + 1) * own.numRows * own.width;
      own.key = keys.growTo(length);
      own.value = values.growTo(length);
    }
    this.#numPages = grown;
  }

  #positionsTo(length: number): BigInt64Array {
    if (length > this.#ramp.length)
      this.#ramp = BigInt64Array.from({ length: 2 * length }, (_, i) => BigInt(i));
    return this.#ramp.subarray(0, length);
  }
}
