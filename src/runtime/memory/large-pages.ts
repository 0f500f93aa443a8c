/**
 * @file Memory in large pages that move from one vector to another, while each vector keeps its addresses (Linux).
 *
 * A resizable ArrayBuffer is cleared when it shrinks and filled again in pages of 4 KB, and each time it grows V8 counts new
 * memory and collects garbage: two thirds of the time of a training step on disk. Pages that are moved need not be cleared by the
 * system either, which took a fifth of the rest.
 */
import type { Pages } from "./retractable.ts";
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  type Mapping,
  mapMemory,
} from "./system-memory.ts";

const MADV_HUGEPAGE = 14;
/** Size and alignment of a large page on the processors that ONNX Runtime has builds for. */
export const PAGE_BYTES = 2 << 20;
/** Each page that was moved is a mapping of its own, and a process may have 65,530 of them. */
const MAX_PAGES = 16_384;

interface Page {
  readonly mapping: Mapping;
  readonly start: number;
}

/** Reserves addresses in large pages for so many bytes; null where the system has no such pages, and for less than one. */
export function reserveLarge(sizeBytes: number): Mapping | null {
  if (process.platform !== "linux" || sizeBytes < PAGE_BYTES) return null;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const mapping = mapMemory(sizeBytes + PAGE_BYTES, { flags, file: -1 }, (address) => ({
    start: Number(-address & BigInt(PAGE_BYTES - 1)),
    sizeBytes,
  }));
  // Only for whole pages: a large page at the end would take memory that is not counted.
  mapping?.advise(0, sizeBytes - (sizeBytes % PAGE_BYTES), MADV_HUGEPAGE);
  return mapping;
}

/** The pages of one budget. Pages given back are reused first, so that there are never more than were in use at once. */
export class LargePages {
  readonly #free = new Set<Page>();
  #numPages = 0;

  /** Reserves addresses; null as `reserveLarge`. */
  reserve(sizeBytes: number): Pages | null {
    const mapping = reserveLarge(sizeBytes);
    if (!mapping) return null;
    const wholeBytes = sizeBytes - (sizeBytes % PAGE_BYTES);
    const pages = Array.from({ length: wholeBytes / PAGE_BYTES }, (_, i) => ({
      mapping,
      start: i * PAGE_BYTES,
    }));
    this.#numPages += pages.length;
    return {
      buffer: mapping.buffer,
      keepsNumbers: false,
      take: () => {
        this.#take(pages);
        return false;
      },
      giveBack: () => {
        const isKept = this.#numPages <= MAX_PAGES;
        if (isKept) for (const page of pages) this.#free.add(page);
        const from = isKept ? wholeBytes : 0;
        if (from < sizeBytes) mapping.advise(from, sizeBytes - from, MADV_DONTNEED);
      },
    };
  }

  /** Moves free pages to where they are wanted; wanted pages that are still in place stay. */
  #take(wanted: readonly Page[]): void {
    const missing = wanted.filter((page) => !this.#free.delete(page));
    for (const page of missing) {
      const [free] = this.#free;
      if (!free) return;
      this.#free.delete(free);
      page.mapping.moveHere(page.start, PAGE_BYTES, free.mapping, free.start);
    }
  }
}
