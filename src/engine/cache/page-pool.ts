/**
 * @file Tracks who holds which pages of the cache: counts only, no keys and values.
 *
 * A page holds PAGE_TOKENS positions. A full page can be published under all that came before it, so that another sequence with
 * the same beginning shares it. A published page that nobody holds stays until its memory is needed, or until there are more such
 * pages than are to be kept; the oldest goes first.
 */
import { assertInternal } from "../../errors.ts";

export const PAGE_TOKENS = 16;

/** Identifies all that comes before a page: the previous page, or the adapter on the model. */
export type PrefixKey = string;

interface Published {
  readonly page: number;
  /** Never reused, so that pages that follow an evicted page are not found. */
  readonly id: number;
}

export class PagePool {
  readonly numPages: number;
  readonly #free: number[];
  /** How many sequences hold each page. */
  readonly #holders: Int32Array;
  readonly #published = new Map<string, Published>();
  /** Key of each published page. */
  readonly #keyOf = new Map<number, string>();
  /** Published pages that nobody holds, the one released longest ago first. */
  readonly #idle = new Set<number>();
  #numPublished = 0;
  /** Most idle pages; at least as many as were ever held at once, so that a text may go on. */
  #maxIdle: number;

  /** `numKept`: how many published pages stay although nobody holds them; all unless given. */
  constructor(numPages: number, numKept = numPages) {
    this.numPages = numPages;
    this.#maxIdle = numKept;
    this.#free = Array.from({ length: numPages }, (_, i) => numPages - 1 - i);
    this.#holders = new Int32Array(numPages);
  }

  /** Pages that can be taken. */
  get numFree(): number {
    return this.#free.length + this.#idle.size;
  }

  /** Pages that sequences hold. */
  get numHeld(): number {
    return this.numPages - this.numFree;
  }

  /** Takes a page for one holder; null: all are held. */
  take(): number | null {
    const page = this.#free.pop() ?? this.#evict();
    if (page === null) return null;
    this.#holders[page] = 1;
    this.#maxIdle = Math.max(this.#maxIdle, this.numHeld);
    return page;
  }

  /** Releases a page; after its last holder it is free, or idle if it is published. */
  release(page: number): void {
    assertInternal(this.#holders[page]! > 0, `page ${page} is held`);
    if (--this.#holders[page]! > 0) return;
    if (this.#keyOf.has(page)) this.#idle.add(page);
    else this.#free.push(page);
    if (this.#idle.size > this.#maxIdle) this.#free.push(this.#evict()!);
  }

  /**
   * Publishes a full page under what it follows and its ids; returns the key for what follows it. If another page is published
   * there already, that one stays.
   */
  publish(page: number, after: PrefixKey, ids: readonly number[]): PrefixKey {
    const key = pageKey(after, ids);
    let known = this.#published.get(key);
    if (!known) {
      this.#published.set(key, (known = { page, id: this.#numPublished++ }));
      this.#keyOf.set(page, key);
    }
    return `#${known.id}`;
  }

  /** Finds the page with these ids after the given prefix, and holds it; null: there is none. */
  find(after: PrefixKey, ids: readonly number[]): { readonly page: number; readonly next: PrefixKey } | null {
    const known = this.#published.get(pageKey(after, ids));
    if (!known) return null;
    this.#holders[known.page]!++;
    this.#idle.delete(known.page);
    return { page: known.page, next: `#${known.id}` };
  }

  #evict(): number | null {
    const [page] = this.#idle;
    if (page === undefined) return null;
    this.#idle.delete(page);
    this.#published.delete(this.#keyOf.get(page)!);
    this.#keyOf.delete(page);
    return page;
  }
}

function pageKey(after: PrefixKey, ids: readonly number[]): string {
  return `${after}:${ids.join(",")}`;
}
