/**
 * @file Adapters by name: on the disk until a request names one, then side by side in memory, until others need the room.
 *
 * Adapters that can share a batch are members of one group; a group's programs read the tensors of all its members, and
 * each row says which is its own. A change of members makes new tensors beside the old ones, so nothing that runs is disturbed.
 */
import { UsageError } from "../errors.ts";
import type { ReadAdapter } from "../format/adapters/adapter.ts";
import { nearest } from "../messages/nearest.ts";
import type { AdapterView } from "../peft/adapter-view.ts";
import type { Adapter } from "../peft/attach.ts";
import { stackAdapters } from "../peft/rows.ts";
import type { Session } from "../run/session.ts";
import { type PagedStages, compilePaged } from "./paged-stages.ts";

/** An adapter that can be asked for. */
export interface NamedAdapter {
  readonly name: string;
  /** Its folder. */
  readonly path: string;
}

/** An adapter in memory. */
export interface HeldAdapter extends NamedAdapter {
  readonly adapter: Adapter;
  readonly chatTemplateHash: string | null;
  /** No other has it: what was cached of the same name before it was loaded again is not found. */
  readonly key: string;
}

/** Adapters in one batch. */
export interface AdapterGroup {
  /** By their place; null: nothing. */
  readonly members: readonly (HeldAdapter | null)[];
  readonly stages: PagedStages;
}

interface Entry extends NamedAdapter {
  /** In memory, or on the way. */
  held: Promise<HeldAdapter> | null;
  /** Requests that use it or wait for it. */
  numUsers: number;
  isGone: boolean;
}

/** A group as it grows. */
interface Group {
  current: AdapterGroup;
}

export interface AdapterPoolOptions {
  readonly session: Session;
  /** Reads the adapter in a folder onto the base. */
  readonly read: (folder: string) => Promise<ReadAdapter>;
  /** Adapters in memory at a time that nobody need be using. */
  readonly maxLoaded: number;
}

export class AdapterPool {
  readonly #options: AdapterPoolOptions;
  /** The one that was used longest ago first. */
  readonly #entries = new Map<string, Entry>();
  /** Those in memory, by key. */
  readonly #loaded = new Map<string, Entry>();
  readonly #groups: Group[] = [];
  readonly #base: AdapterGroup;
  #numLoads = 0;
  /** Settled when no members are changing: one change at a time. */
  #change: Promise<unknown> = Promise.resolve();

  private constructor(options: AdapterPoolOptions, base: AdapterGroup) {
    this.#options = options;
    this.#base = base;
  }

  static async create(options: AdapterPoolOptions): Promise<AdapterPool> {
    return new AdapterPool(options, { members: [null], stages: await compilePaged(options.session, null) });
  }

  /** All adapters that can be asked for. */
  list(): NamedAdapter[] {
    return [...this.#entries.values()].map(({ name, path }) => ({ name, path }));
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Names of those in memory. */
  get loaded(): readonly string[] {
    return [...this.#entries.values()].flatMap(({ name, held }) => (held ? [name] : []));
  }

  /** Lets an adapter be asked for. @throws UsageError "usage/adapter" when the name is taken */
  register(name: string, path: string): void {
    if (this.#entries.has(name)) {
      throw new UsageError(
        "usage/adapter",
        `Cannot load adapter "${name}": the name is taken, expected another`,
        { hint: `Choose another name, or unload "${name}" first.` },
      );
    }
    this.#entries.set(name, { name, path, held: null, numUsers: 0, isGone: false });
  }

  /** Forgets an adapter; who uses it does so to the end. @throws UsageError "usage/adapter" when there is none */
  unregister(name: string): void {
    const entry = this.#entryOf(name);
    this.#entries.delete(name);
    entry.isGone = true;
    if (entry.numUsers === 0) this.#forget(entry);
  }

  /**
   * Gets an adapter into memory, to be let go of. @throws UsageError "usage/adapter" when there is none of this name; as
   * reading it
   */
  async acquire(name: string): Promise<HeldAdapter> {
    const entry = this.#entryOf(name);
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    entry.numUsers++;
    entry.held ??= this.#load(entry);
    try {
      return await entry.held;
    } catch (error) {
      entry.held = null;
      this.#letGo(entry);
      throw error;
    }
  }

  /** Lets go of an adapter that was acquired. */
  release({ key }: HeldAdapter): void {
    const entry = this.#loaded.get(key);
    if (entry) this.#letGo(entry);
  }

  #letGo(entry: Entry): void {
    entry.numUsers--;
    const isTooMuch = entry.isGone || this.#loaded.size > this.#options.maxLoaded;
    if (entry.numUsers === 0 && isTooMuch) this.#forget(entry);
  }

  /** The batch that an adapter belongs to, and its place there. */
  groupOf(held: HeldAdapter | null): { readonly group: AdapterGroup; readonly place: number } {
    if (!held) return { group: this.#base, place: 0 };
    const group = this.#groups.find(({ current }) => current.members.includes(held));
    if (!group) throw new RangeError(`Cannot run adapter "${held.name}": it is not in memory`);
    return { group: group.current, place: group.current.members.indexOf(held) };
  }

  #entryOf(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry) return entry;
    const alike = nearest(name, [...this.#entries.keys()]);
    throw new UsageError("usage/adapter", `Cannot use adapter "${name}": it is not known`, {
      hint: alike === null ? "Load it first." : `Did you mean "${alike}"?`,
    });
  }

  async #load(entry: Entry): Promise<HeldAdapter> {
    const { name, path } = entry;
    const { adapter, chatTemplateHash } = await this.#options.read(path);
    const held = { name, path, adapter, chatTemplateHash, key: `${name}#${this.#numLoads++}` };
    try {
      await this.#alone(async () => {
        await this.#makeRoom();
        await this.#join(held);
      });
    } catch (error) {
      adapter.release();
      throw error;
    }
    this.#loaded.set(held.key, entry);
    return held;
  }

  /** Runs one change of members after the other. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#change.then(change);
    this.#change = done.catch(() => {});
    return done;
  }

  /** Drops those that nobody uses until one more fits. */
  async #makeRoom(): Promise<void> {
    for (const entry of this.#entries.values()) {
      if (this.#loaded.size < this.#options.maxLoaded) return;
      if (entry.numUsers === 0 && entry.held) await this.#drop(entry);
    }
  }

  #forget(entry: Entry): void {
    void this.#alone(() => this.#drop(entry));
  }

  async #drop(entry: Entry): Promise<void> {
    const held = await entry.held?.catch(() => null);
    // Somebody may have asked for it meanwhile.
    if (!held || (entry.numUsers > 0 && !entry.isGone)) return;
    entry.held = null;
    this.#loaded.delete(held.key);
    await this.#leave(held);
    held.adapter.release();
  }

  /** Puts an adapter into the first group that can have it, or one of its own. */
  async #join(held: HeldAdapter): Promise<void> {
    const { session } = this.#options;
    for (const group of this.#groups) {
      const members = [...group.current.members, held];
      const view = stackOrNull(session, members);
      if (!view) continue;
      group.current = { members, stages: await compilePaged(session, view) };
      return;
    }
    const members = [null, held];
    const view = stackOrNull(session, members);
    const own = view ? { members, view } : { members: [held], view: held.adapter.forWriting() };
    this.#groups.push({
      current: { members: own.members, stages: await compilePaged(session, own.view) },
    });
  }

  async #leave(held: HeldAdapter): Promise<void> {
    const { session } = this.#options;
    const group = this.#groups.find(({ current }) => current.members.includes(held));
    if (!group) return;
    const members = group.current.members.filter((member) => member !== held);
    const view = members.some((member) => member !== null) ? stackOrNull(session, members) : null;
    if (view) group.current = { members, stages: await compilePaged(session, view) };
    else this.#groups.splice(this.#groups.indexOf(group), 1);
  }

  /** Frees all adapters; nothing runs any more. */
  async close(): Promise<void> {
    await this.#change;
    for (const entry of this.#loaded.values()) (await entry.held)?.adapter.release();
    this.#loaded.clear();
    this.#entries.clear();
    this.#groups.length = 0;
  }
}

/** Adapters side by side; null when they cannot be. */
function stackOrNull(session: Session, members: readonly (HeldAdapter | null)[]): AdapterView | null {
  try {
    return stackAdapters(
      session.base,
      members.map((member) => member?.adapter ?? null),
      { writing: true },
    );
  } catch (error) {
    if (error instanceof UsageError && error.code === "usage/adapter") return null;
    throw error;
  }
}
