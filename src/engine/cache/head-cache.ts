/**
 * @file Keys and values of some texts by heads, [S, K, C, E] in each layer, as ONNX Runtime's attention reads and extends them in
 * place: slot s holds a text of up to C tokens.
 *
 * The pages of the cache remain what texts share and how they are moved. Each pass copies its new tokens to the pages, and tokens
 * that are missing here are copied from the pages. Rows of a pass lie in neighbouring slots; a text in another slot is moved.
 */
import { type HostTensor, hostTensor, zeros } from "../../runtime/host-tensor.ts";
import { PAGE_TOKENS } from "./page-pool.ts";
import type { Sequence } from "./sequence.ts";

/** Keys and values of some tokens in one layer. */
export interface CacheRows {
  readonly key: HostTensor<"float32">;
  readonly value: HostTensor<"float32">;
}

/** The heads of a layer (0 without attention), and its pages, [N, PAGE_TOKENS, K·E] each. */
export interface PagedLayer {
  readonly numHeads: number;
  readonly headWidth: number;
  readonly key: Float32Array;
  readonly value: Float32Array;
}

/** A text in a slot, with its first `length` tokens. */
interface Held {
  readonly sequence: Sequence;
  length: number;
}

/** `count` tokens of a text from `start` on, and the text's slot. */
interface TokensInSlot {
  readonly sequence: Sequence;
  readonly slot: number;
  readonly start: number;
  readonly count: number;
}

interface Sizes {
  readonly numSlots: number;
  readonly capacity: number;
}

const NO_SLOTS: Sizes = { numSlots: 0, capacity: 0 };

/** Slots are made larger than needed by as many tokens or by a quarter, whichever is more, since each growth copies them. */
const MORE_TOKENS = 128;
const MORE_SHARE = 1 / 4;

export class HeadCache {
  readonly #maxTokens: number;
  #sizes = NO_SLOTS;
  readonly #layers: CacheRows[] = [];
  #held: (Held | null)[] = [];
  /** Views of the rows of earlier passes by layer, keyed by their slots. */
  readonly #cuts = new Map<string, readonly CacheRows[]>();
  /** Rows of this pass, in slots from `start` on. */
  #rows: readonly Sequence[] = [];
  #start = 0;

  /** `maxTokens`: limit for all slots together. */
  constructor(maxTokens: number) {
    this.#maxTokens = maxTokens;
  }

  /** Whether this many rows of up to `length` tokens fit. */
  canHold(numRows: number, length: number): boolean {
    return this.#sizesFor(numRows, length) !== null;
  }

  /** An order of rows that leaves most of them in their slots. */
  arrange(rows: readonly Sequence[]): number[] {
    const slots = rows.map((row) => this.#slotOf(row));
    const isKept = (row: number): boolean => slots[row]! >= 0 && slots[row]! < rows.length;
    const others = [...rows.keys()].filter((row) => !isKept(row));
    return rows.map((_, place) => {
      const kept = slots.indexOf(place);
      return kept >= 0 ? kept : others.shift()!;
    });
  }

  /**
   * Brings the computed ids of some rows into neighbouring slots, with room for `count` more in each.
   * @throws TypeError when they do not fit, CapacityError "capacity/memory"
   */
  hold(rows: readonly Sequence[], count: number, layers: readonly PagedLayer[]): void {
    const length = count + Math.max(...rows.map(({ numComputed }) => numComputed));
    this.#resize(rows.length, length, layers);
    const [only] = rows;
    this.#start = rows.length === 1 && only ? this.#slotForOne(only, length, layers) : 0;
    this.#rows = rows;
    for (const [i, sequence] of rows.entries()) this.#bring(sequence, this.#start + i, layers);
  }

  /** What the attention of a layer reads and extends in this pass. */
  rows(layer: number): CacheRows {
    const count = this.#rows.length;
    const key = `${this.#start}, ${count}`;
    let cut = this.#cuts.get(key);
    if (!cut) {
      const ofRows = ({ data, shape: [, ...shape] }: HostTensor<"float32">): HostTensor<"float32"> => {
        const size = data.length / this.#sizes.numSlots;
        const own = data.subarray(this.#start * size, (this.#start + count) * size);
        return hostTensor("float32", [count, ...shape], own);
      };
      cut = this.#layers.map((whole) => ({ key: ofRows(whole.key), value: ofRows(whole.value) }));
      this.#cuts.set(key, cut);
    }
    return cut[layer]!;
  }

  /** Copies the last `count` tokens of each row, which a pass has computed, to the pages. */
  append(count: number, layers: readonly PagedLayer[]): void {
    for (const [i, sequence] of this.#rows.entries()) {
      const slot = this.#start + i;
      this.#copy({ sequence, slot, start: sequence.numComputed, count }, layers, "heads");
      const held = this.#held[slot];
      if (held?.sequence === sequence) held.length += count;
    }
  }

  /** Frees the slot of a text. */
  forget(sequence: Sequence): void {
    const slot = this.#slotOf(sequence);
    if (slot >= 0) this.#held[slot] = null;
  }

  #slotOf(sequence: Sequence): number {
    return this.#held.findIndex((held) => held?.sequence === sequence);
  }

  /** The text's own slot, a free one, or a new one; if there is no room for more, the slot of another text. */
  #slotForOne(sequence: Sequence, length: number, layers: readonly PagedLayer[]): number {
    const own = this.#slotOf(sequence);
    if (own >= 0) return own;
    const free = this.#held.indexOf(null);
    if (free >= 0) return free;
    const { numSlots } = this.#sizes;
    if (this.canHold(2 * numSlots, length)) {
      this.#resize(2 * numSlots, length, layers);
      return numSlots;
    }
    return numSlots - 1;
  }

  #bring(sequence: Sequence, slot: number, layers: readonly PagedLayer[]): void {
    const { numComputed: length } = sequence;
    const from = this.#slotOf(sequence);
    const isHere = from >= 0 && this.#held[from]?.length === length;
    if (from >= 0) this.#held[from] = null;
    if (!isHere) this.#copy({ sequence, slot, start: 0, count: length }, layers, "pages");
    else if (from !== slot) this.#move(from, slot, length, layers);
    this.#held[slot] = { sequence, length };
  }

  #move(from: number, to: number, length: number, layers: readonly PagedLayer[]): void {
    for (const [layer, sizes] of layers.entries()) {
      const { numHeads, headWidth } = sizes;
      const { key, value } = this.#layers[layer]!;
      for (let head = 0; head < numHeads; head++) {
        const source = this.#placeOf(from, head, 0, sizes);
        const target = this.#placeOf(to, head, 0, sizes);
        for (const { data } of [key, value]) data.copyWithin(target, source, source + length * headWidth);
      }
    }
  }

  #placeOf(slot: number, head: number, token: number, { numHeads, headWidth }: PagedLayer): number {
    return ((slot * numHeads + head) * this.#sizes.capacity + token) * headWidth;
  }

  /** Copies tokens of a text from or to its pages, which the text may have lost. */
  #copy(
    { sequence: { pages }, slot, start, count }: TokensInSlot,
    layers: readonly PagedLayer[],
    from: "pages" | "heads",
  ): void {
    for (let token = start; token < start + count; token++) {
      const page = pages[Math.floor(token / PAGE_TOKENS)];
      if (page === undefined) return;
      const inPages = (page + 1) * PAGE_TOKENS + (token % PAGE_TOKENS);
      for (let layer = 0; layer < layers.length; layer++)
        this.#copyToken(layers[layer]!, this.#layers[layer]!, { slot, token, inPages }, from);
    }
  }

  /** Copies one token of a layer, at index `inPages` of all pages; number by number, since views of so few numbers cost more. */
  #copyToken(
    paged: PagedLayer,
    held: CacheRows,
    { slot, token, inPages }: { readonly slot: number; readonly token: number; readonly inPages: number },
    from: "pages" | "heads",
  ): void {
    const { numHeads, headWidth } = paged;
    const isRead = from === "pages";
    const [fromKey, toKey] = isRead ? [paged.key, held.key.data] : [held.key.data, paged.key];
    const [fromValue, toValue] = isRead ? [paged.value, held.value.data] : [held.value.data, paged.value];
    for (let head = 0; head < numHeads; head++) {
      const ofPages = (inPages * numHeads + head) * headWidth;
      const ofSlot = this.#placeOf(slot, head, token, paged);
      const start = isRead ? ofPages : ofSlot;
      const target = isRead ? ofSlot : ofPages;
      for (let i = 0; i < headWidth; i++) {
        toKey[target + i] = fromKey[start + i]!;
        toValue[target + i] = fromValue[start + i]!;
      }
    }
  }

  /** Slot sizes with room for some rows; null: they do not fit. */
  #sizesFor(numRows: number, length: number): Sizes | null {
    const now = this.#sizes;
    const numSlots = Math.max(now.numSlots, numRows);
    if (length <= now.capacity && numSlots === now.numSlots) return now;
    // Uses fewer slots than before if the rows fit only so.
    for (const slots of [numSlots, numRows]) {
      const most = Math.floor(this.#maxTokens / slots);
      const more = Math.max(MORE_TOKENS, Math.floor(length * MORE_SHARE));
      const capacity = length <= now.capacity ? now.capacity : length + more;
      if (length <= most) return { numSlots: slots, capacity: Math.min(most, capacity) };
    }
    return null;
  }

  /** Makes room layer by layer, so that only one layer exists twice at a time; texts keep their slots. */
  #resize(numRows: number, length: number, layers: readonly PagedLayer[]): void {
    const [before, sizes] = [this.#sizes, this.#sizesFor(numRows, length)];
    if (!sizes) throw new TypeError(`Cannot hold ${numRows} texts of ${length} tokens by heads`);
    if (sizes === before) return;
    this.#cuts.clear();
    this.#sizes = sizes;
    const { numSlots, capacity } = sizes;
    this.#held = Array.from({ length: numSlots }, (_, slot) => {
      const held = this.#held[slot] ?? null;
      return held && held.length <= capacity ? held : null;
    });
    try {
      for (const [layer, sizesOfLayer] of layers.entries()) this.#grow(layer, sizesOfLayer, before.capacity);
    } catch (error) {
      // Some layers have grown and others have not: all texts will be copied again from their pages.
      this.#sizes = NO_SLOTS;
      this.#held = [];
      this.#layers.length = 0;
      throw error;
    }
  }

  /** Reallocates the memory of a layer and copies the texts of its slots; `before` is the old capacity. */
  #grow(layer: number, sizes: PagedLayer, before: number): void {
    const { numSlots, capacity } = this.#sizes;
    const old = this.#layers[layer];
    const grow = (of: HostTensor<"float32"> | undefined): HostTensor<"float32"> => {
      const grown = zeros("float32", [numSlots, sizes.numHeads, capacity, sizes.headWidth]);
      if (of) this.#keep(of.data, grown.data, before, sizes);
      return grown;
    };
    this.#layers[layer] = { key: grow(old?.key), value: grow(old?.value) };
  }

  /** Copies the texts of all slots into slots of the new capacity. */
  #keep(from: Float32Array, to: Float32Array, capacity: number, { numHeads, headWidth }: PagedLayer): void {
    for (const [slot, held] of this.#held.entries()) {
      if (!held) continue;
      for (let head = 0; head < numHeads; head++) {
        const start = (slot * numHeads + head) * capacity * headWidth;
        const target = (slot * numHeads + head) * this.#sizes.capacity * headWidth;
        to.set(from.subarray(start, start + held.length * headWidth), target);
      }
    }
  }
}
