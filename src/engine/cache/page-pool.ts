/**
 * @file Which pages of the cache are whose: counts only, no numbers of keys and values.
 *
 * A page holds PAGE_TOKENS positions. Full pages can be published under what led to them, so that another sequence that
 * begins alike shares them; a published page that nobody holds stays until its memory is needed, or there are more of them than
 * are to be kept: the oldest goes first.
 */
import { assertInternal } from "../../errors.ts";

export const PAGE_TOKENS = 16;

/** Names all that comes before a page: the page before it, or the adapter on the model. */
export type PrefixKey = string;

interface Published {
  readonly page: number;
  /** Never used again, so that pages that follow one that is gone are not found. */
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
  /** Published pages that nobody holds, the one that was let go longest ago first. */
  readonly #idle = new Set<number>();
  #numPublished = 0;
  /** Published pages that nobody holds, at most; as many as were held at a time in any case, so that a text may go on. */
  #maxIdle: number;

  /** `numKept`: published pages that stay although nobody holds them; all unless given. */
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

  /** Pages that somebody holds. */
  get numHeld(): number {
    return this.numPages - this.numFree;
  }

  /** Takes a page, for one holder; null: all are held. */
  take(): number | null {
    const page = this.#free.pop() ?? this.#evict();
    if (page === null) return null;
    this.#holders[page] = 1;
    this.#maxIdle = Math.max(this.#maxIdle, this.numHeld);
    return page;
  }

  /** Lets go of a page; with its last holder it is free, or idle if it is published. */
  release(page: number): void {
    assertInternal(this.#holders[page]! > 0, `page ${page} is held`);
    if (--this.#holders[page]! > 0) return;
    if (this.#keyOf.has(page)) this.#idle.add(page);
    else this.#free.push(page);
    if (this.#idle.size > this.#maxIdle) this.#free.push(this.#evict()!);
  }

  /**
   * Lets others find a full page by what it follows and its ids; returns the key of what follows it. Where another page
   * is published there already, that one stays.
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

  /** Finds the page of these ids after others, and holds it; null: there is none. */
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
