/**
 * @file Makes V8 collect the garbage of plans and steps. By itself it collects only when there is much, and the process keeps that memory
 * to its end: 40 MB after thirty plans, or after 600 steps. Without V8, as on Bun, this does nothing.
 */
import { getHeapSpaceStatistics } from "node:v8";
import { findCollector } from "../../../runtime/memory/find-collector.ts";

/** Growth of the heap before a collection: a plan leaves about a megabyte, a step some 70 kB; a collection takes as long as a plan. */
const ENOUGH_BYTES = 8e6;

export class HeapGrowth {
  readonly #collect = findCollector();
  #usedBytes = this.#collect ? oldBytes() : 0;

  /** Collects if the heap has grown by enough. */
  collect(): void {
    if (!this.#collect || oldBytes() - this.#usedBytes < ENOUGH_BYTES) return;
    this.#collect();
    this.#usedBytes = oldBytes();
  }
}

/** Bytes of the heap without young objects, which V8 collects often, and of which there may be 60 MB with default flags. */
function oldBytes(): number {
  return getHeapSpaceStatistics().reduce(
    (sum, { space_name: name, space_used_size: size }) => (name.startsWith("new_") ? sum : sum + size),
    0,
  );
}
