/**
 * @file Memory in large pages that are given back to the system and come back empty, at the same address (Linux).
 *
 * A resizable ArrayBuffer is cleared when it shrinks, is filled again in pages of 4 KB, and each time it grows V8 counts
 * that as new memory and collects garbage: two thirds of the time of a training step on disk.
 */
import type { Pages } from "./retractable.ts";
import { MAP_PRIVATE, mapMemory } from "./system-memory.ts";

const MAP_ANONYMOUS = 0x20;
const MADV_DONTNEED = 4;
const MADV_HUGEPAGE = 14;
/** Where a large page begins, and its size, on the processors that ONNX Runtime has builds for. */
const PAGE_BYTES = 2 << 20;

/** Reserves addresses; null where the system has no such pages, and for what is smaller than one. */
export function reserveLargePages(sizeBytes: number): Pages | null {
  if (process.platform !== "linux" || sizeBytes < PAGE_BYTES) return null;
  const mapping = mapMemory(sizeBytes + PAGE_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1, (address) => ({
    start: Number(-address & BigInt(PAGE_BYTES - 1)),
    sizeBytes,
  }));
  if (!mapping) return null;
  // Whole pages only: a large one at the end would be memory that nobody counts.
  mapping.advise(0, sizeBytes - (sizeBytes % PAGE_BYTES), MADV_HUGEPAGE);
  return { buffer: mapping.buffer, giveBack: () => mapping.advise(0, sizeBytes, MADV_DONTNEED) };
}
