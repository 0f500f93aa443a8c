/**
 * @file Memory for adapters whose forms are as large as weights: those that were used last keep theirs, and others give theirs
 * back where nobody uses them.
 */
import type { Adapter } from "../../peft/attach.ts";
import { largeFormBytes } from "../../peft/rows/row-forms.ts";

export class FormBudget {
  readonly #maxBytes: number;
  /** Bytes of those that have theirs; the one that was used longest ago first. */
  readonly #bytesOf = new Map<Adapter, number>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Says that rows have an adapter. */
  use(adapter: Adapter): void {
    const bytes = this.#bytesOf.get(adapter);
    if (bytes === undefined) return;
    this.#bytesOf.delete(adapter);
    this.#bytesOf.set(adapter, bytes);
  }

  /** Which adapters are to give theirs back so that one more fits, of those that may; null: it does not fit. */
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

  /** Counts what an adapter has now. */
  add(adapter: Adapter): void {
    const bytes = largeFormBytes(adapter);
    if (bytes > 0) this.#bytesOf.set(adapter, bytes);
  }

  remove(adapter: Adapter): void {
    this.#bytesOf.delete(adapter);
  }
}
