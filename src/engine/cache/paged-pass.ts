/** @file One pass over rows whose keys and values lie in pages: what its blocks read, and where they write. */
import { dimsOf } from "../../graph/shape.ts";
import type { PassFacts } from "../../nn/pass.ts";
import { type HostTensor, hostTensor, zeros } from "../../runtime/host-tensor.ts";
import type { CacheRows, HeadCache, PagedLayer } from "./head-cache.ts";
import { PAGE_TOKENS } from "./page-pool.ts";
import type { Sequence } from "./sequence.ts";
import type { StateCache, StateRows } from "./state-cache.ts";

/** How the keys and values of earlier tokens are laid out: by heads, or in pages that each row lists. */
export type CacheLayout = "heads" | "pages";

/** Rows of a pass. All run the same number of ids, and have the pages for them. */
export interface PagedRows {
  readonly sequences: readonly Sequence[];
  readonly count: number;
}

/** Sizes of the pages of a layer; without attention it has no heads. */
export interface PageSizes extends Pick<PagedLayer, "numHeads" | "headWidth"> {
  /** Numbers per position, in keys or in values. */
  readonly width: number;
  /** Positions that a page keeps: all, or the last; position p lies in row p modulo this number. */
  readonly numRows: number;
  /** How many positions before a token are read; null: all. */
  readonly numRecent: number | null;
}

/** The allocated pages of a layer. */
export interface PoolLayer extends PagedLayer, PageSizes {
  key: Float32Array<ArrayBuffer>;
  value: Float32Array<ArrayBuffer>;
  /** Memory of the last pass for what it wrote; null: a running pass uses it. */
  fresh: CacheRows | null;
}

interface PagedPassParts {
  readonly rows: PagedRows;
  readonly layout: CacheLayout;
  readonly layers: readonly PoolLayer[];
  readonly heads: HeadCache;
  readonly states: StateCache;
  /** 0, 1, 2, …, at least as many as the computed ids of any row. */
  readonly ramp: BigInt64Array;
}

export class PagedPass {
  /** Positions and segments of its tokens. */
  readonly facts: PassFacts;
  /** The pages of each row, [B, M]; null: rows are read by heads. */
  readonly pages: HostTensor<"int64"> | null;
  readonly #parts: PagedPassParts;
  readonly #fresh = new Map<number, CacheRows>();
  readonly #states = new Map<number, readonly StateRows[]>();

  constructor(parts: PagedPassParts) {
    this.#parts = parts;
    const { sequences, count: length } = parts.rows;
    this.pages = parts.layout === "pages" ? pagesOf(parts.rows) : null;
    const positions = new BigInt64Array(sequences.length * length);
    for (const [row, { numComputed }] of sequences.entries()) {
      for (let i = 0; i < length; i++) positions[row * length + i] = BigInt(numComputed + i);
    }
    this.facts = {
      numRows: sequences.length,
      length,
      positions,
      segments: new Int32Array(sequences.length * length).fill(1),
      tokenTypes: null,
      keys: this.pages && this.#keysIn(this.pages, positions),
      textLengths: sequences.map(({ ids }) => ids.length),
      isPromptEnd: (row, index) => {
        const { numComputed, numPrompt } = sequences[row]!;
        return numComputed + index === numPrompt - 1;
      },
    };
  }

  get layout(): CacheLayout {
    return this.#parts.layout;
  }

  /** Whether the pass runs ids of one prompt only. */
  get isPrompt(): boolean {
    const { sequences, count } = this.#parts.rows;
    return sequences.length === 1 && sequences.every((row) => row.numComputed + count <= row.numPrompt);
  }

  /** Whether the result of a row must not depend on the rows beside it. */
  get isBatchInvariant(): boolean {
    return this.#parts.rows.sequences.some((row) => row.isBatchInvariant);
  }

  /** Positions and segments of all tokens that rows attend to: those in their pages, then the new ones. */
  #keysIn({ shape }: HostTensor<"int64">, newPositions: BigInt64Array): PassFacts["keys"] {
    const { ramp, rows } = this.#parts;
    const { sequences, count: length } = rows;
    const [numRows, numPages] = dimsOf(shape, 2);
    const total = numPages * PAGE_TOKENS + length;
    const positions = new BigInt64Array(numRows * total);
    const segments = new Int32Array(numRows * total);
    for (const [row, { numComputed }] of sequences.entries()) {
      const [start, end] = [row * total, (row + 1) * total];
      positions.set(ramp.subarray(0, numComputed), start);
      positions.set(newPositions.subarray(row * length, (row + 1) * length), end - length);
      segments.fill(1, start, start + numComputed).fill(1, end - length, end);
    }
    return { positions, segments };
  }

  /**
   * Keys and values of earlier tokens: by heads [B, K, C, E], otherwise all pages [N, PAGE_TOKENS, K·E]; for a layer that looks
   * back only at the last few tokens, those [B, count, W/2].
   */
  past(layer: number): CacheRows {
    const { layout, heads, layers, rows } = this.#parts;
    const own = layers[layer]!;
    if (own.numRecent !== null) return recentRows(own, own.numRecent, rows.sequences);
    if (layout === "heads") return heads.rows(layer);
    const { key, value, width } = own;
    const whole = (data: Float32Array<ArrayBuffer>): HostTensor<"float32"> =>
      hostTensor("float32", [data.length / (PAGE_TOKENS * width), PAGE_TOKENS, width], data);
    return { key: whole(key), value: whole(value) };
  }

  /** Memory for keys and values of the new tokens, [B, T, K·E]; null: they are written to the memory that the pass reads. */
  fresh(layer: number): CacheRows | null {
    const { layout, layers } = this.#parts;
    const own = layers[layer]!;
    if (layout === "heads" && own.numRecent === null) return null;
    const shape = this.#freshShape(layer);
    const size = shape.reduce((product, n) => product * n, 1);
    const known = own.fresh && own.fresh.key.data.length >= size ? own.fresh : null;
    own.fresh = null;
    const whole = known ?? { key: zeros("float32", shape), value: zeros("float32", shape) };
    this.#fresh.set(layer, whole);
    return known ? this.#cut(layer, whole) : whole;
  }

  #freshShape(layer: number): readonly number[] {
    const { layers, rows } = this.#parts;
    return [rows.sequences.length, rows.count, layers[layer]!.width];
  }

  /** The part of such memory that this pass uses. */
  #cut(layer: number, { key, value }: CacheRows): CacheRows {
    const shape = this.#freshShape(layer);
    const size = shape.reduce((product, n) => product * n, 1);
    const cut = ({ data }: HostTensor<"float32">): HostTensor<"float32"> =>
      hostTensor("float32", shape, data.subarray(0, size));
    return { key: cut(key), value: cut(value) };
  }

  /** What a layer has written in this pass, in the memory that `fresh` gave. */
  written(layer: number): CacheRows | null {
    const whole = this.#fresh.get(layer);
    return whole ? this.#cut(layer, whole) : null;
  }

  /** The states that a layer keeps for each row, and memory for the new ones. */
  states(layer: number): readonly StateRows[] {
    const { states, rows } = this.#parts;
    const own = states.rows(layer, rows.sequences);
    this.#states.set(layer, own);
    return own;
  }

  /** Stores the written keys and values in the pages of their rows, and the states. */
  append(): void {
    const { layout, layers, heads, states, rows } = this.#parts;
    const { sequences, count } = rows;
    if (layout === "heads") heads.append(count, layers);
    for (const [layer, own] of layers.entries()) {
      const fresh = this.#fresh.get(layer) ?? null;
      for (const [row, sequence] of sequences.entries())
        appendRow(own, sequence, { first: row * count, count }, fresh);
      if (fresh) own.fresh = fresh;
    }
    for (const [layer, own] of this.#states) states.keep(layer, sequences, own);
  }
}

/**
 * Stores the new tokens of a row in its pages; `first`: index of its first token in `fresh`, which is null where the heads hold
 * them.
 */
function appendRow(
  { width, numRows, key, value }: PoolLayer,
  { numComputed, pages }: Sequence,
  { first, count }: { readonly first: number; readonly count: number },
  fresh: CacheRows | null,
): void {
  for (let i = 0; i < count;) {
    const position = numComputed + i;
    const inPage = position % PAGE_TOKENS;
    const inRows = inPage % numRows;
    const run = Math.min(count - i, PAGE_TOKENS - inPage, numRows - inRows);
    const page = pages[Math.floor(position / PAGE_TOKENS)];
    // The row ended while the pass ran.
    if (page === undefined) return;
    const at = ((page + 1) * numRows + inRows) * width;
    if (fresh) {
      const [from, to] = [(first + i) * width, (first + i + run) * width];
      key.set(fresh.key.data.subarray(from, to), at);
      value.set(fresh.value.data.subarray(from, to), at);
    }
    // Clears what the page held before, after its first positions.
    const end = (page + 2) * numRows * width;
    if (inPage === 0) for (const data of [key, value]) data.fill(0, at + run * width, end);
    i += run;
  }
}

/** The last `count` positions of each row, [B, count, width]; zeros before its beginning. */
function recentRows(
  { width, numRows, key, value }: PoolLayer,
  count: number,
  sequences: readonly Sequence[],
): CacheRows {
  const shape = [sequences.length, count, width];
  const recent = { key: zeros("float32", shape), value: zeros("float32", shape) };
  for (const [row, { numComputed, pages }] of sequences.entries()) {
    for (let position = Math.max(0, numComputed - count); position < numComputed; position++) {
      const page = pages[Math.floor(position / PAGE_TOKENS)]!;
      const from = ((page + 1) * numRows + ((position % PAGE_TOKENS) % numRows)) * width;
      const to = (row * count + position - numComputed + count) * width;
      recent.key.data.set(key.subarray(from, from + width), to);
      recent.value.data.set(value.subarray(from, from + width), to);
    }
  }
  return recent;
}

/** The pages of the computed ids of each row, [B, M]; M is at least 1: a row without pages lists the page of zeros. */
function pagesOf({ sequences }: PagedRows): HostTensor<"int64"> {
  const counts = sequences.map(({ numComputed }) => Math.ceil(numComputed / PAGE_TOKENS));
  const numPages = Math.max(1, ...counts);
  const pages = zeros("int64", [sequences.length, numPages]);
  for (const [row, { pages: own }] of sequences.entries()) {
    for (let i = 0; i < counts[row]!; i++) pages.data[row * numPages + i] = BigInt(own[i]! + 1);
  }
  return pages;
}
