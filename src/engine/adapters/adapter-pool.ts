/**
 * @file Adapters by name: on disk until a request names one, then in memory until others need the room.
 *
 * Adapters that a caller has loaded itself are held here without a path; the caller manages their names (`generation/task-set`).
 * `adapter-groups` decides which of them share the rows of a pass. A change of members makes new tensors beside the old ones, so
 * nothing that runs is disturbed.
 */
import { FailedError, assertInternal } from "../../errors.ts";
import type { ReadAdapter } from "../../format/adapters/read-adapter.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { Session } from "../../run/session.ts";
import { unlessAborted } from "../unless-aborted.ts";
import { AdapterGroups, DEFAULT_UPDATE_BYTES } from "./adapter-groups.ts";
import { AdapterNames, type Entry, newEntry } from "./adapter-names.ts";
import type { HeldAdapter, NamedAdapter } from "./held-adapter.ts";
import { prepareForMany, warmUp } from "../stack/paged-stages.ts";
import { RowBatches } from "./row-batches.ts";
import { RowPrograms } from "./row-programs.ts";

export interface AdapterPoolOptions {
  readonly session: Session;
  /** Reads the adapter in a folder onto the base; without this function, no adapter can be requested by name. */
  readonly read?: (folder: string) => Promise<ReadAdapter>;
  /** Number of adapters in memory up to which unused ones stay. */
  readonly maxLoaded: number;
  /**
   * Whether rows of one adapter run by programs of its own, which is fastest for one text at a time. Otherwise adapters always
   * share programs, which are compiled once for all.
   */
  readonly isOwnFirst?: boolean;
  /** Memory budget for adapters that add tensors as large as weights to rows; adapters beyond it take turns. */
  readonly updateBytes?: number | undefined;
  /** Receives what users should know about the base and about adapters loaded onto it. */
  readonly onNote?: ((note: string) => void) | undefined;
}

export class AdapterPool {
  /** Sorts rows with these adapters into batches. */
  readonly rows: RowBatches;
  readonly #options: AdapterPoolOptions;
  readonly #names = new AdapterNames();
  /** Adapters in memory, by key. */
  readonly #loaded = new Map<string, Entry>();
  readonly #programs: RowPrograms;
  readonly #groups: AdapterGroups;
  #numLoads = 0;
  /** Settles when no change of members is in progress: changes run one at a time. */
  #change: Promise<unknown> = Promise.resolve();

  constructor(options: AdapterPoolOptions) {
    this.#options = options;
    this.#programs = new RowPrograms(options.session);
    this.#groups = new AdapterGroups({
      session: options.session,
      programs: this.#programs,
      updateBytes: options.updateBytes ?? DEFAULT_UPDATE_BYTES,
      // An adapter without a name may be in use.
      isIdle: ({ key }) => this.#loaded.get(key)?.numUsers === 0,
    });
    this.rows = new RowBatches({
      programs: this.#programs,
      groups: this.#groups,
      isOwnFirst: options.isOwnFirst ?? false,
      // Members do not wait while another adapter joins.
      join: async (held) => {
        if (!this.#groups.use(held)) await this.#alone(() => this.#groups.join(held));
      },
    });
  }

  /** All adapters that can be requested. */
  list(): NamedAdapter[] {
    return [...this.#names.entries()].map(({ name, path }) => ({ name, path }));
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Names of the adapters in memory. */
  get loaded(): readonly string[] {
    return [...this.#names.entries()].flatMap(({ name, held }) => (held ? [name] : []));
  }

  /** Makes an adapter available by name without reading it. @throws UsageError "usage/adapter" when the name is taken */
  register(name: string, path: string): void {
    this.#names.requireFree(name);
    this.#names.add(newEntry(name, path));
  }

  /**
   * Reads an adapter, and only then makes it available by name, in place of one of that name if `mayReplace`.
   * @throws UsageError "usage/adapter" when the name is taken; the signal's reason when it is aborted by then; as reading it
   */
  async add(
    name: string,
    path: string,
    { mayReplace = false, signal }: { readonly mayReplace?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    if (!mayReplace) this.#names.requireFree(name);
    const entry = newEntry(name, path);
    entry.numUsers++;
    await (entry.held = this.#load(entry));
    try {
      signal?.throwIfAborted();
      if (!mayReplace) this.#names.requireFree(name);
      if (this.has(name)) this.unregister(name);
      this.#names.add(entry);
    } catch (error) {
      entry.isGone = true;
      throw error;
    } finally {
      this.#endUse(entry);
    }
  }

  /** Forgets an adapter; texts that use it may finish. @throws UsageError "usage/adapter" when there is none */
  unregister(name: string): void {
    const entry = this.#names.remove(name);
    entry.isGone = true;
    if (entry.numUsers === 0) this.#forget(entry);
  }

  /**
   * Gets an adapter into memory; the caller releases it. null: the signal was aborted first, and there is nothing to release.
   * @throws UsageError "usage/adapter" when there is none of this name; FailedError "engine/adapter" when it cannot be read,
   * which is not the caller's fault
   */
  async acquire(name: string): Promise<HeldAdapter>;
  async acquire(name: string, signal: AbortSignal | undefined): Promise<HeldAdapter | null>;
  async acquire(name: string, signal?: AbortSignal): Promise<HeldAdapter | null> {
    const coming = this.#use(this.#names.use(name));
    if (!signal) return await coming;
    try {
      return await unlessAborted(coming, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      // The adapter counts as used until it is loaded, so that it is not forgotten while it loads.
      void coming.then(
        (held) => this.release(held),
        () => {},
      );
      return null;
    }
  }

  async #use(entry: Entry): Promise<HeldAdapter> {
    const { name } = entry;
    entry.numUsers++;
    entry.held ??= this.#load(entry);
    try {
      return await entry.held;
    } catch (error) {
      entry.held = null;
      this.#endUse(entry);
      throw new FailedError("engine/adapter", `Cannot use adapter "${name}": it cannot be read`, {
        hint: "Contact the server's operator.",
        cause: error,
      });
    }
  }

  /** Releases an adapter that was acquired. */
  release({ key }: HeldAdapter): void {
    const entry = this.#loaded.get(key);
    if (entry) this.#endUse(entry);
  }

  #endUse(entry: Entry): void {
    entry.numUsers--;
    if (entry.numUsers === 0 && this.#isTooMuch(entry)) this.#forget(entry);
  }

  #isTooMuch({ isGone }: Entry): boolean {
    return isGone || this.#loaded.size > this.#options.maxLoaded;
  }

  /**
   * Takes an adapter that the caller has in memory, for writing with rows of it. It gets a new key, so that it finds nothing that
   * was cached with it before.
   */
  async hold(adapter: Adapter, name?: string): Promise<HeldAdapter>;
  async hold(adapter: Adapter | null): Promise<HeldAdapter | null>;
  async hold(adapter: Adapter | null, name = ""): Promise<HeldAdapter | null> {
    await this.#programs.begin(adapter);
    return adapter && this.#keyed(name, adapter);
  }

  #keyed(name: string, adapter: Adapter): HeldAdapter {
    return { name, adapter, key: `${name}#${this.#numLoads++}` };
  }

  /** Forgets an adapter that was taken by `hold`. */
  async letGo(held: HeldAdapter): Promise<void> {
    await this.#alone(async () => this.#groups.leave(held));
  }

  /** Compiles the programs of an adapter, and runs them once. */
  async warmUp(adapter: Adapter | null): Promise<void> {
    await warmUp(await this.#programs.ofOne(adapter));
  }

  /** Compiles the programs with which many texts of the base are written at once. */
  async prepareMany(): Promise<void> {
    await prepareForMany(await this.#programs.ofOne(null));
  }

  async #load(entry: Entry): Promise<HeldAdapter> {
    const { name, path } = entry;
    const { read } = this.#options;
    assertInternal(read, "adapters with names can be read");
    const { adapter } = await read(path);
    const held = this.#keyed(name, adapter);
    try {
      await this.#alone(async () => {
        await this.#makeRoom();
        if (!this.#options.isOwnFirst) await this.#groups.join(held);
      });
    } catch (error) {
      // When its programs could not be compiled, the adapter has joined a group already.
      await this.letGo(held);
      adapter.release();
      throw error;
    }
    this.#loaded.set(held.key, entry);
    const { onNote, session } = this.#options;
    if (onNote) session.base.takeNotes().forEach(onNote);
    return held;
  }

  /** Runs changes of members one after another. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#change.then(change);
    this.#change = done.catch(() => {});
    return done;
  }

  /** Drops unused adapters until there is room for one more. */
  async #makeRoom(): Promise<void> {
    for (const entry of this.#names.entries()) {
      if (this.#loaded.size < this.#options.maxLoaded) return;
      if (entry.numUsers === 0 && entry.held) await this.#drop(entry);
    }
  }

  #forget(entry: Entry): void {
    void this.#alone(async () => {
      // Others that were dropped before it may have made enough room.
      if (this.#isTooMuch(entry)) await this.#drop(entry);
    });
  }

  async #drop(entry: Entry): Promise<void> {
    // The adapter may have been requested again meanwhile; if it is still loading, this waits until it is loaded.
    if (entry.numUsers > 0) return;
    const held = await entry.held?.catch(() => null);
    if (!held || entry.numUsers > 0) return;
    entry.held = null;
    this.#loaded.delete(held.key);
    this.#groups.leave(held);
    held.adapter.release();
  }

  /** Frees all adapters; nothing may run any more. */
  async close(): Promise<void> {
    await this.#change;
    for (const entry of this.#loaded.values()) (await entry.held)?.adapter.release();
    this.#loaded.clear();
    this.#names.clear();
    this.#groups.clear();
  }
}
