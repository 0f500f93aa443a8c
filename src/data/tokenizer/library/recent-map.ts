/**
 * @file A bounded map of two halves: when the younger is full, the older is dropped as a whole.
 *
 * A hit usually moves nothing, while a list in order of use would be changed at every access.
 */

/** Keeps the entries that were used last: at least `capacity` and at most twice as many. */
export class RecentMap<V> {
  readonly #capacity: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(key: string): V | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const older = this.#old.get(key);
    if (older !== undefined) this.put(key, older);
    return older;
  }

  put(key: string, value: V): void {
    if (this.#young.size >= this.#capacity) [this.#old, this.#young] = [this.#young, new Map()];
    this.#young.set(key, value);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
