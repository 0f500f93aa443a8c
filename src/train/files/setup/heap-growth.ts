/**
 * @file Has V8 collect what plans and steps leave on its heap. It collects of its own accord only when much is there, and by then the process
 * holds it to its end: 40 MB of thirty plans, or of 600 steps. Where there is no V8, as on Bun, nothing can be asked for.
 */
import { getHeapSpaceStatistics } from "node:v8";
import { findCollector } from "../../../runtime/memory/find-collector.ts";

/** What the heap may grow by: a plan leaves about a megabyte, and a collection takes as long as one; a step leaves some 70 kB. */
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

/** What is on the heap but for young objects, which V8 collects often, and of which there may be 60 MB in a process with its usual flags. */
function oldBytes(): number {
  return getHeapSpaceStatistics().reduce(
    (sum, { space_name: name, space_used_size: size }) => (name.startsWith("new_") ? sum : sum + size),
    0,
  );
}
