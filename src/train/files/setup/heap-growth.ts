/**
 * @file Has V8 collect what plans leave on its heap. It collects of its own accord only when much is there, and by then the process
 * holds it to its end: 40 MB of thirty plans. Where there is no V8, as on Bun, nothing can be asked for.
 */
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What the heap may grow by: a plan leaves about a megabyte, and a collection takes as long as one. */
const ENOUGH_BYTES = 8e6;

export class HeapGrowth {
  readonly #collect: (() => void) | undefined;
  #usedBytes: number;

  constructor() {
    setFlagsFromString("--expose-gc");
    this.#collect = runInNewContext("globalThis.gc") as (() => void) | undefined;
    this.#usedBytes = usedBytes();
  }

  /** Collects if the heap has grown by enough. */
  collect(): void {
    if (usedBytes() - this.#usedBytes < ENOUGH_BYTES) return;
    this.#collect?.();
    this.#usedBytes = usedBytes();
  }
}

function usedBytes(): number {
  return getHeapStatistics().used_heap_size;
}
