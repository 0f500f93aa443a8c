/**
 * @file A shard: a piece of memory whose numbers are in memory, on the disk, or in both. A shard that has not changed since it
 * was written is dropped without writing; so is memory that keeps its numbers, which the system writes.
 */
import { type Pages, Retractable } from "./retractable.ts";
import type { MemorySpec, Use } from "./vector-memory.ts";

/** Where shards are while they are not in memory. They are numbered, so that equal names cannot collide. */
export interface ShardDisk {
  /** Stores the bytes of a shard, completely or not at all. */
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
  /** Whether it was prefetched and has not been held since. */
  isAhead = false;
  readonly #spec: MemorySpec;
  readonly #index: number;
  readonly #disk: ShardDisk;
  /** Whether the numbers in memory are newer than those on the disk. */
  #isDirty = false;
  /** Whether the disk has valid numbers; if not, the numbers are zeros. */
  #isStored = false;
  /** Whether the numbers in memory are from before `forget`. */
  #isOld = false;
  /** Resolves to the bytes written when the current write ends; null: the shard is not being written. */
  #moving: Promise<number> | null = null;

  /** `pages`: where the shard lies; null: in a buffer of its own. */
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

  /** Notes that it is held in memory: clears forgotten numbers, and marks the shard as changed unless it is only read. */
  use(use: Use): void {
    if (this.#isOld && use !== "overwrite") new Uint8Array(this.memory.buffer).fill(0);
    this.#isOld = false;
    if (use !== "read") this.#isDirty = true;
  }

  /** Forgets its numbers: they are zeros again. */
  forget(): void {
    this.#isDirty = false;
    this.#isStored = false;
    // Numbers that `load` makes are still right.
    this.#isOld = !this.#spec.load;
  }

  /** Turns its memory into that of a file, which comes back without being cleared; null: it already is, or cannot be. */
  settle(): Promise<unknown> | null {
    const storing = this.memory.keepsNumbers || this.#moving ? null : this.#store();
    if (!storing) return null;
    this.#moving = storing.then(() => 0).finally(() => (this.#moving = null));
    return this.#moving;
  }

  /** Fills the memory with the shard's numbers; returns how many bytes were read. `areZeros`: the memory is all zeros. */
  async fill(use: Use, { areZeros }: { readonly areZeros: boolean }): Promise<number> {
    const { load, form, sizeBytes } = this.#spec;
    const { buffer } = this.memory;
    this.#isOld = false;
    if (load && !(form && this.#isStored)) {
      await load();
      if (form) {
        // Encodes and decodes once, so that the first use reads the same rounded numbers as all later ones.
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

  /** Writes the numbers to the disk if they have changed; returns how many bytes were written. */
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
      // If the numbers were forgotten meanwhile, the shard stays clean.
      if (this.#isStored) this.#isDirty = true;
      throw error;
    }
  }

  /** Writes the memory to the file that will replace it; null or false: there is none. */
  #store(): Promise<boolean> | null {
    return this.#spec.form ? null : this.memory.store();
  }
}
