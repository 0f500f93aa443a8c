/**
 * @file Memory that goes back to the system and comes back at the same address.
 *
 * A resizable ArrayBuffer reserves its addresses once. Shrunk to nothing it holds no pages, and its views have no elements, so
 * that using them at the wrong time fails instead of reading zeros. Where pages can be given back in another, faster way
 * (`Pages`), views keep their elements; programs still refuse memory that was given back.
 */
import { assertInternal } from "../../errors.ts";
import { takeResize } from "./own-resize.ts";

/** Addresses that stay reserved, and have pages only while they are used. */
export interface Pages {
  /** Its length never changes. At first, and whenever it has no pages, it reads as zeros. */
  readonly buffer: ArrayBuffer;
  /**
   * Writes the numbers to a file whose pages replace these when they are given back; resolves to false where that fails. Absent:
   * there is no such file.
   */
  readonly store?: (() => Promise<boolean>) | undefined;
  /** Whether the numbers come back with the pages, as those of a file do; otherwise the contents are arbitrary. */
  readonly keepsNumbers: boolean;
  /** Takes pages again. @returns whether they are all zeros @throws FailedError "failed/write" when the disk cannot be read */
  take(): Promise<boolean> | boolean;
  giveBack(): void;
}

/** For each buffer, a function that tells whether native code has its address now. */
const lentBy = new WeakMap<ArrayBufferLike, () => boolean>();
const made = new WeakMap<ArrayBufferLike, Retractable>();

export class Retractable {
  readonly buffer: ArrayBuffer;
  readonly #sizeBytes: number;
  readonly #pages: Pages | null;
  /** Null where the memory lies in pages. */
  readonly #resize: ((sizeBytes: number) => void) | null;
  #isThere: boolean;

  /** With `pages` the memory lies there, and `extend` comes first; null: it lies in a buffer of its own, which is there and all zeros. */
  constructor(sizeBytes: number, pages: Pages | null = null) {
    this.#sizeBytes = sizeBytes;
    this.#pages = pages;
    this.#isThere = pages === null;
    this.buffer = pages?.buffer ?? new ArrayBuffer(sizeBytes, { maxByteLength: sizeBytes });
    this.#resize = pages ? null : takeResize(this.buffer);
    made.set(this.buffer, this);
  }

  get isThere(): boolean {
    return this.#isThere;
  }

  /** Whether the numbers come back with the memory; otherwise its contents are arbitrary. */
  get keepsNumbers(): boolean {
    return this.#pages?.keepsNumbers === true;
  }

  /**
   * Makes the numbers come back with the memory after it is given back, provided they do not change before. Null or false: impossible.
   */
  store(): Promise<boolean> | null {
    return this.#pages?.store?.() ?? null;
  }

  /** Takes the memory again. @returns whether it is all zeros @throws as `Pages.take` */
  async extend(): Promise<boolean> {
    this.#resize?.(this.#sizeBytes);
    const areZeros = this.#pages ? await this.#pages.take() : true;
    this.#isThere = true;
    return areZeros;
  }

  /** Gives the memory back; its numbers are lost unless `keepsNumbers`. */
  retract(): void {
    assertInternal(!lentBy.get(this.buffer)?.(), "memory is given back while a program uses it");
    this.#isThere = false;
    this.#pages?.giveBack();
    this.#resize?.(0);
  }
}

/** Whether a buffer's memory was given back. */
export function isRetracted(buffer: ArrayBufferLike): boolean {
  return made.get(buffer)?.isThere === false;
}

/** Keeps a buffer from being given back while `isLent` returns true. */
export function guardRetractable(buffer: ArrayBufferLike, isLent: () => boolean): void {
  if (made.has(buffer)) lentBy.set(buffer, isLent);
}
