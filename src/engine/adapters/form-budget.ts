/**
 * @file Memory budget for adapters whose tensors are as large as weights: the most recently used keep theirs, and unused ones
 * give theirs up.
 */
import type { Adapter } from "../../peft/attach.ts";
import { largeFormBytes } from "../../peft/rows/row-forms.ts";

export class FormBudget {
  readonly #maxBytes: number;
  /** Bytes of the adapters that have such tensors now, the least recently used first. */
  readonly #bytesOf = new Map<Adapter, number>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Records that rows use an adapter. */
  use(adapter: Adapter): void {
    const bytes = this.#bytesOf.get(adapter);
    if (bytes === undefined) return;
    this.#bytesOf.delete(adapter);
    this.#bytesOf.set(adapter, bytes);
  }

  /**
   * Which adapters, of those that `mayGo` allows, must give up their tensors to make room for one; null: that is not
   * enough.
   */
  roomFor(adapter: Adapter, mayGo: (adapter: Adapter) => boolean): readonly Adapter[] | null {
    const needed = largeFormBytes(adapter);
    if (needed === 0 || this.#bytesOf.has(adapter)) return [];
    let missing = needed - this.#maxBytes;
    for (const bytes of this.#bytesOf.values()) missing += bytes;
    const going: Adapter[] = [];
    for (const [other, bytes] of this.#bytesOf) {
      if (missing <= 0) break;
      if (!mayGo(other)) continue;
      going.push(other);
      missing -= bytes;
    }
    return missing <= 0 ? going : null;
  }

  /** Counts what an adapter takes now. */
  add(adapter: Adapter): void {
    const bytes = largeFormBytes(adapter);
    if (bytes > 0) this.#bytesOf.set(adapter, bytes);
  }

  remove(adapter: Adapter): void {
    this.#bytesOf.delete(adapter);
  }
}
