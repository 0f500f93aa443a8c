/** @file The names by which adapters can be requested, ordered by use: the least recently used first. */
import { UsageError } from "../../errors.ts";
import { didYouMean } from "../../messages/nearest.ts";
import { type HeldAdapter, type NamedAdapter, nameTaken } from "./held-adapter.ts";

export interface Entry extends NamedAdapter {
  /** The adapter in memory, or being loaded. */
  held: Promise<HeldAdapter> | null;
  /** Requests that use it or wait for it. */
  numUsers: number;
  isGone: boolean;
}

/** Makes an adapter that is not in memory and that nobody uses. */
export function newEntry(name: string, path: string): Entry {
  return { name, path, held: null, numUsers: 0, isGone: false };
}

export class AdapterNames {
  readonly #entries = new Map<string, Entry>();

  /** All adapters, the least recently used first; one that is used during the iteration moves to the end. */
  entries(): MapIterator<Entry> {
    return this.#entries.values();
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** @throws UsageError "usage/adapter" when the name is taken */
  requireFree(name: string): void {
    if (this.has(name)) throw nameTaken("adapter", name);
  }

  /** Adds an adapter; it replaces one of the same name. */
  add(entry: Entry): void {
    this.#entries.delete(entry.name);
    this.#entries.set(entry.name, entry);
  }

  /** Finds an adapter and marks it as used now. @throws UsageError "usage/adapter" when there is none */
  use(name: string): Entry {
    const entry = this.#find(name);
    this.add(entry);
    return entry;
  }

  /** Removes an adapter. @throws UsageError "usage/adapter" when there is none */
  remove(name: string): Entry {
    const entry = this.#find(name);
    this.#entries.delete(name);
    return entry;
  }

  #find(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry) return entry;
    throw new UsageError("usage/adapter", `Cannot use adapter "${name}": it is not loaded`, {
      hint: didYouMean(name, [...this.#entries.keys()]) ?? "Load it first.",
    });
  }

  clear(): void {
    this.#entries.clear();
  }
}
