/**
 * @file Memory that goes back to the system and comes back at the same address.
 *
 * A resizable ArrayBuffer reserves its addresses once; shrunk to nothing it holds no pages, and views of it have no
 * elements, so that whoever uses them at the wrong time fails instead of reading zeros. Where pages can be given back
 * otherwise, which is faster, views keep their elements; programs refuse memory that is not there all the same.
 */
import { assertInternal } from "../../errors.ts";
import { takeResize } from "./own-resize.ts";

/** Addresses that stay reserved, with pages while they are used. */
export interface Pages {
  /** Its length never changes; at first, and without pages, it is all zeros. */
  readonly buffer: ArrayBuffer;
  /** Writes its numbers to a file whose pages take the place of these when they are given back; absent: there is no such file. */
  readonly store?: (() => Promise<boolean>) | undefined;
  /** Whether its numbers come again with the pages, as those of a file do; else these have any contents. */
  readonly keepsNumbers: boolean;
  /** Takes pages again; whether they are all zeros. @throws FailedError "failed/write" where the disk does not give them */
  take(): Promise<boolean> | boolean;
  giveBack(): void;
}

/** Says of each buffer whether native code has its address now. */
const lentBy = new WeakMap<ArrayBufferLike, () => boolean>();
const made = new WeakMap<ArrayBufferLike, Retractable>();

export class Retractable {
  readonly buffer: ArrayBuffer;
  readonly #sizeBytes: number;
  readonly #pages: Pages | null;
  /** Absent where it lies in pages. */
  readonly #resize: ((sizeBytes: number) => void) | null;
  #isThere: boolean;

  /** `pages`: where it lies, to be taken first; null: in a buffer of its own, which is there and all zeros. */
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

  /** Whether its numbers come again with the memory; else it has any contents then. */
  get keepsNumbers(): boolean {
    return this.#pages?.keepsNumbers === true;
  }

  /** Has its numbers come again with the memory once it is given back, as long as they do not change before; null, false: it cannot. */
  store(): Promise<boolean> | null {
    return this.#pages?.store?.() ?? null;
  }

  /** Takes the memory again; whether it is all zeros. @throws as pages do */
  async extend(): Promise<boolean> {
    this.#resize?.(this.#sizeBytes);
    const areZeros = this.#pages ? await this.#pages.take() : true;
    this.#isThere = true;
    return areZeros;
  }

  /** Gives the memory back, and with it what is in it, unless that is kept. */
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

/** Keeps a buffer from being given back while `isLent`. */
export function guardRetractable(buffer: ArrayBufferLike, isLent: () => boolean): void {
  if (made.has(buffer)) lentBy.set(buffer, isLent);
}
