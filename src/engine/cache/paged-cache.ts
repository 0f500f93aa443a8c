/**
 * @file Keys and values of many sequences in pages of one pool, [N, PAGE_TOKENS, K·E] in each layer, which grows where it lies.
 *
 * A pass lists the pages of its rows; what a row has not filled is of segment 0, which no token looks at, and zero: what is
 * not a number stays none when it is weighed with nothing. Rows may be read by heads instead, in memory of their own that is
 * extended in place (`head-cache.ts`). A layer that looks back at the last few tokens alone keeps those of each page.
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

/** How the cache of a model is read while there is room. What one layer extends in place, no other can read. */
export function bestLayout({ layers }: CachedModel): CacheLayout {
  const byHeads = ({ attention, keysFrom }: CachedLayer): boolean =>
    !attention || (fitsHeadCache(attention) && keysFrom === null);
  return layers.every(byHeads) ? "heads" : "pages";
}

const MIN_USUAL_BYTES = 512e6;
const MAX_USUAL_BYTES = 2e9;

/** Pages that there is memory for at first. */
const FIRST_PAGES = 4;

/** Sizes of the pages of a layer: none where it reads those of another. */
function pageSizes({ attention, keysFrom, recent }: CachedLayer): PageSizes {
  const { numKeyValueHeads: numHeads = 0, headWidth = 0 } = (keysFrom === null ? attention : null) ?? {};
  const { count = null, width = 2 * numHeads * headWidth } = recent ?? {};
  const numRows = Math.min(PAGE_TOKENS, count ?? PAGE_TOKENS);
  return { numHeads, headWidth, width: width / 2, numRows, numRecent: count };
}

/** Bytes of a page in all layers, with as much for what is there again by heads. */
export function pageBytes(model: CachedModel): number {
  const isHeld = bestLayout(model) === "heads";
  const numbers = model.layers.map(pageSizes).map(({ numRows, width, numRecent }) => {
    const numCopies = isHeld && numRecent === null ? 2 : 1;
    return numCopies * 2 * numRows * width;
  });
  return numbers.reduce((sum, size) => sum + size, 0) * Float32Array.BYTES_PER_ELEMENT;
}

/** Bytes of the pages of one text as long as the model allows: its last token needs none, but a text ends behind it. */
export function textBytes(model: CachedModel & { readonly maxPositions: number }): number {
  return pageBytes(model) * Math.ceil((model.maxPositions + 1) / PAGE_TOKENS);
}

/** Bytes of keys and values where nobody says how many: of one text as long as the model allows, within bounds. */
export function usualCacheBytes(model: Parameters<typeof textBytes>[0]): number {
  return Math.min(MAX_USUAL_BYTES, Math.max(MIN_USUAL_BYTES, textBytes(model)));
}

/** Counts the pages that some bytes make. @throws CapacityError "capacity/memory" for fewer than one */
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
  /** Of the pages of each layer. */
  readonly #memory: readonly { readonly keys: Growing; readonly values: Growing }[];
  readonly #maxPages: number;
  /** Pages that there is memory for. Page p lies at p + 1, behind one of zeros. */
  #numPages = 0;
  /** Keys and values of rows that are read by heads. */
  readonly #heads: HeadCache;
  readonly #states: StateCache;
  readonly #best: CacheLayout;
  /** 0, 1, 2, …: the positions that rows begin with. */
  #ramp = new BigInt64Array(0);

  /** `maxPages`: how many it may grow to. */
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

  /** How a pass over the next ids of some rows is to read them. */
  layoutFor({ sequences, count }: PagedRows): CacheLayout {
    const length = count + Math.max(...sequences.map(({ numComputed }) => numComputed));
    // Several rows by heads run one id each.
    const mayBe =
      this.#best === "heads" &&
      (sequences.length === 1 || count === 1) &&
      // These look up the position itself.
      !sequences.some(({ isLong }) => isLong);
    return mayBe && this.#heads.canHold(sequences.length, length) ? "heads" : "pages";
  }

  /** An order of rows in which the fewest are moved. */
  arrange(sequences: readonly Sequence[]): number[] {
    return this.#heads.arrange(sequences);
  }

  /** Lets others have the memory of a text that has ended. */
  forget(sequence: Sequence): void {
    this.#heads.forget(sequence);
    this.#states.prune();
  }

  /** Begins a pass over the next ids of some rows. Of passes by heads there is one at a time. */
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

  /** Makes room for pages. @throws CapacityError "capacity/memory" */
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
