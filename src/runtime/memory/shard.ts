/**
 * @file A shard: a piece of memory whose numbers are in memory, on the disk, or in both. What is in memory and has not changed
 * since it was written is dropped without writing; so is memory that keeps its numbers, which the system writes.
 */
import { type Pages, Retractable } from "./retractable.ts";
import type { MemorySpec, Use } from "./vector-memory.ts";

/** Where shards are while they are not in memory: by number, so that no two names can fall together. */
export interface ShardDisk {
  /** Keeps the bytes of a shard, whole or not at all. */
  write(index: number, bytes: Uint8Array): Promise<void>;
  /** Reads what was last written of a shard. */
  read(index: number, into: Uint8Array): Promise<void>;
}

export class Shard {
  readonly name: string;
  readonly sizeBytes: number;
  readonly usesPerStep: number;
  readonly memory: Retractable;
  numHolds = 0;
  /** It was brought in ahead, and nobody has held it yet. */
  isAhead = false;
  readonly #spec: MemorySpec;
  readonly #index: number;
  readonly #disk: ShardDisk;
  /** Numbers in memory are newer than those on the disk. */
  #isDirty = false;
  /** The disk has numbers that count; if not, they are zeros. */
  #isStored = false;
  /** Numbers in memory are those of before it was told to forget. */
  #isOld = false;
  /** Ends when the shard has been written, with the bytes of that; null: it is not being written. */
  #moving: Promise<number> | null = null;

  /** `pages`: where it may lie; null: in a buffer of its own. */
  constructor(spec: MemorySpec, index: number, disk: ShardDisk, pages: Pages | null) {
    this.name = spec.name;
    this.sizeBytes = spec.sizeBytes;
    this.usesPerStep = spec.usesPerStep ?? Infinity;
    this.memory = new Retractable(spec.sizeBytes, pages);
    this.#spec = spec;
    this.#index = index;
    this.#disk = disk;
  }

  /** Whether it can leave memory at once: nobody holds it, and the disk has its numbers. */
  get isIdle(): boolean {
    return this.numHolds === 0 && !this.#isDirty && !this.#moving;
  }

  /** Notes that it is held in memory: what it has forgotten is zeros, and numbers may change. */
  use(use: Use): void {
    if (this.#isOld && use !== "overwrite") new Uint8Array(this.memory.buffer).fill(0);
    this.#isOld = false;
    if (use !== "read") this.#isDirty = true;
  }

  /** Forgets its numbers: they are zeros again. */
  forget(): void {
    this.#isDirty = false;
    this.#isStored = false;
    // What is made whenever it is not there is as good as new.
    this.#isOld = !this.#spec.load;
  }

  /** Has its memory become that of a file, which is taken again without being cleared; null: it is, or cannot. */
  settle(): Promise<unknown> | null {
    const storing = this.memory.keepsNumbers || this.#moving ? null : this.#store();
    if (!storing) return null;
    this.#moving = storing.then(() => 0).finally(() => (this.#moving = null));
    return this.#moving;
  }

  /** Gives memory its numbers; returns how many bytes were read for them. `areZeros`: its memory is. */
  async fill(use: Use, { areZeros }: { readonly areZeros: boolean }): Promise<number> {
    const { load, form, sizeBytes } = this.#spec;
    const { buffer } = this.memory;
    this.#isOld = false;
    if (load && !(form && this.#isStored)) {
      await load();
      if (form) {
        // Encoded and decoded once, so that the first use reads the same rounded numbers as all later ones.
        const bytes = form.encode(buffer);
        form.place(buffer).set(bytes);
        form.decode(buffer);
        this.#isDirty = true;
      }
      return sizeBytes;
    }
    if (use === "overwrite") return 0;
    if (!this.#isStored) {
      if (!areZeros) new Uint8Array(buffer).fill(0);
      return 0;
    }
    if (this.memory.keepsNumbers) return sizeBytes;
    const into = form?.place(buffer) ?? new Uint8Array(buffer);
    await this.#disk.read(this.#index, into);
    form?.decode(buffer);
    return into.length;
  }

  /** Has the disk hold its numbers; returns how many bytes this call has written. */
  async writeBack(): Promise<number> {
    while (this.#moving) await this.#moving.catch(() => {});
    if (!this.#isDirty) return 0;
    if (this.memory.keepsNumbers) {
      this.#isDirty = false;
      this.#isStored = true;
      return this.sizeBytes;
    }
    this.#moving = this.#write().finally(() => (this.#moving = null));
    return await this.#moving;
  }

  async #write(): Promise<number> {
    this.#isDirty = false;
    this.#isStored = true;
    const { buffer } = this.memory;
    try {
      const storing = this.#store();
      if (storing && (await storing)) return this.sizeBytes;
      const bytes = this.#spec.form?.encode(buffer) ?? new Uint8Array(buffer);
      await this.#disk.write(this.#index, bytes);
      return bytes.length;
    } catch (error) {
      // Numbers that were forgotten meanwhile are not to come back.
      if (this.#isStored) this.#isDirty = true;
      throw error;
    }
  }

  /** Writes its memory to the file that takes its place; null, false: there is none. */
  #store(): Promise<boolean> | null {
    return this.#spec.form ? null : this.memory.store();
  }
}
