/** @file The names under which adapters can be asked for, in the order of their use: the one that was used longest ago first. */
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

  /** All adapters, the one that was used longest ago first; one that is used meanwhile comes last. */
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

  /** Adds an adapter, in the place of one of its name. */
  add(entry: Entry): void {
    this.#entries.delete(entry.name);
    this.#entries.set(entry.name, entry);
  }

  /** Finds an adapter, which is used now. @throws UsageError "usage/adapter" when there is none */
  use(name: string): Entry {
    const entry = this.#find(name);
    this.add(entry);
    return entry;
  }

  /** Takes an adapter out. @throws UsageError "usage/adapter" when there is none */
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
