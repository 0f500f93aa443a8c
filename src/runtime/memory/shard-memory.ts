/**
 * @file Memory within a budget: what a step uses least goes to the disk, and comes back when it is held. Of what it uses
 * equally often, what was used longest ago; of what it uses once, in the same order each time, what was used last.
 *
 * Bytes in memory never exceed the budget, at no instant. What is held never goes; what is there is never in the way of
 * itself; what has not changed since it was written is dropped without writing. Shards move for one request at a time.
 */
import { CapacityError } from "../../errors.ts";
import { showByteSize } from "../../messages/byte-size.ts";
import { allDone } from "./all-done.ts";
import { type Pages, Retractable } from "./retractable.ts";
import type { Hold, MemorySpec, MemoryTraffic, ShardDtype, Use, VectorMemory } from "./vector-memory.ts";

/** Where shards are while they are not in memory: by number, so that no two names can fall together. */
export interface ShardDisk {
  /** Keeps the bytes of a shard, whole or not at all. */
  write(index: number, bytes: Uint8Array): Promise<void>;
  /** Reads what was last written of a shard. */
  read(index: number, into: Uint8Array): Promise<void>;
}

interface Shard extends MemorySpec {
  readonly index: number;
  readonly usesPerStep: number;
  readonly memory: Retractable;
  numHolds: number;
  /** Numbers in memory are newer than those on the disk. */
  isDirty: boolean;
  /** The disk has numbers that count; if not, they are zeros. */
  isStored: boolean;
  /** Ends when the shard has been written; null: it is not being written. */
  moving: Promise<void> | null;
  /** It was brought in ahead, and nobody has held it yet. */
  isAhead: boolean;
}

type View = Pick<ArrayBufferView, "buffer">;

export class ShardMemory implements VectorMemory {
  readonly budgetBytes: number;
  readonly frozenDtype: ShardDtype;
  readonly #disk: ShardDisk;
  readonly #reserve: (sizeBytes: number) => Pages | null;
  readonly #takenBytes: number;
  readonly #shardOf = new WeakMap<ArrayBufferLike, Shard>();
  /** The shards in memory, the least recently used one first. */
  readonly #resident = new Set<Shard>();
  #numShards = 0;
  #residentBytes: number;
  /** Bytes of resident shards that are already on their way to the disk. */
  #leavingBytes = 0;
  #traffic = { peakBytes: 0, readBytes: 0, writtenBytes: 0, evictedBytes: 0 };
  /** Ends when the last request in the queue is done. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * `reserve`: where shards may lie; null, for one or all: in buffers of their own. `takenBytes`: what is in memory all the time
   * without being a shard, and counts.
   */
  constructor(
    budgetBytes: number,
    disk: ShardDisk,
    frozenDtype: ShardDtype = "float32",
    reserve: (sizeBytes: number) => Pages | null = () => null,
    takenBytes = 0,
  ) {
    this.budgetBytes = budgetBytes;
    this.frozenDtype = frozenDtype;
    this.#disk = disk;
    this.#reserve = reserve;
    this.#residentBytes = takenBytes;
    this.#takenBytes = takenBytes;
  }

  make<T>(spec: MemorySpec, cut: (buffer: ArrayBuffer) => T): T {
    const memory = new Retractable(spec.sizeBytes, this.#reserve(spec.sizeBytes));
    const state = { numHolds: 0, isDirty: false, isStored: false, moving: null, isAhead: false };
    const { usesPerStep = Infinity } = spec;
    this.#shardOf.set(memory.buffer, { ...spec, ...state, usesPerStep, index: this.#numShards++, memory });
    // A new shard is not given back: none of its pages has been touched, and giving it back would touch all of them.
    return cut(memory.buffer);
  }

  async hold(views: Iterable<View>, use: Use): Promise<Hold> {
    const shards = this.#find(views);
    for (const shard of shards) shard.numHolds++;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.#letGo(shards);
      isHeld = false;
    };
    try {
      if (!shards.every((shard) => this.#resident.has(shard))) {
        await this.#inTurn(() => this.#bring(shards, use));
      }
    } catch (error) {
      release();
      throw error;
    }
    for (const shard of shards) {
      this.#touch(shard);
      shard.isAhead = false;
      if (use !== "read") shard.isDirty = true;
    }
    return { release };
  }

  prefetch(views: Iterable<View>, use: Use): void {
    const shards = this.#find(views);
    if (shards.every((shard) => this.#resident.has(shard))) return;
    const bring = async (): Promise<void> => {
      await this.#bring(shards, use);
      for (const shard of shards) shard.isAhead = shard.numHolds === 0;
    };
    this.#inTurn(bring).catch(() => {});
  }

  discard(views: Iterable<View>): void {
    for (const shard of this.#find(views)) {
      shard.isDirty = false;
      shard.isStored = false;
      this.#dropIdle(shard);
    }
  }

  takeTraffic(): MemoryTraffic {
    const traffic = { residentBytes: this.#residentBytes, ...this.#traffic };
    this.#traffic = { peakBytes: this.#residentBytes, readBytes: 0, writtenBytes: 0, evictedBytes: 0 };
    return traffic;
  }

  #find(views: Iterable<View>): Shard[] {
    const found = new Set<Shard>();
    for (const { buffer } of views) {
      const shard = this.#shardOf.get(buffer);
      if (shard) found.add(shard);
    }
    return [...found];
  }

  #touch(shard: Shard): void {
    this.#resident.delete(shard);
    this.#resident.add(shard);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Makes room for what is missing and reads it: all of it at once, for copying keeps one processor busy. */
  async #bring(shards: readonly Shard[], use: Use): Promise<void> {
    await this.#makeRoomFor(shards);
    const missing = shards.filter((shard) => !this.#resident.has(shard));
    await allDone(missing.map((shard) => this.#fetch(shard, use)));
    for (const shard of shards) if (this.#resident.has(shard)) this.#touch(shard);
  }

  async #fetch(shard: Shard, use: Use): Promise<void> {
    const { memory, sizeBytes } = shard;
    const isNew = memory.isThere;
    if (!isNew) memory.extend();
    this.#residentBytes += sizeBytes;
    this.#traffic.peakBytes = Math.max(this.#traffic.peakBytes, this.#residentBytes);
    try {
      const numBytes = await this.#fill(shard, use, isNew);
      this.#traffic.readBytes += numBytes;
    } catch (error) {
      this.#residentBytes -= sizeBytes;
      memory.retract();
      throw error;
    }
    this.#touch(shard);
  }

  /** Gives a shard its numbers; returns how many bytes were read for them. `isNew`: its memory is all zeros. */
  async #fill(shard: Shard, use: Use, isNew: boolean): Promise<number> {
    const { index, load, form, sizeBytes } = shard;
    const { buffer } = shard.memory;
    if (load && !(form && shard.isStored)) {
      await load();
      if (form) {
        // Encoded and decoded once, so that the first use reads the same rounded numbers as all later ones.
        const bytes = form.encode(buffer);
        form.place(buffer).set(bytes);
        form.decode(buffer);
        shard.isDirty = true;
      }
      return sizeBytes;
    }
    if (use === "overwrite") return 0;
    if (!shard.isStored) {
      if (!isNew) new Uint8Array(buffer).fill(0);
      return 0;
    }
    const into = form?.place(buffer) ?? new Uint8Array(buffer);
    await this.#disk.read(index, into);
    form?.decode(buffer);
    return into.length;
  }

  /** Drops what is used least, and nothing of these shards themselves, until all of them fit. @throws CapacityError if they cannot */
  async #makeRoomFor(wanted: readonly Shard[]): Promise<void> {
    for (;;) {
      const missing = sizeOf(wanted.filter((shard) => !this.#resident.has(shard)));
      const excess = this.#residentBytes + missing - this.budgetBytes;
      if (excess <= 0) return;
      const going = this.#firstToGo(excess, wanted);
      await allDone(going.map((shard) => this.#writeBack(shard)));
      for (const shard of going) this.#dropIdle(shard);
    }
  }

  /** Picks shards that nobody holds, until they make up for the bytes in excess. */
  #firstToGo(excess: number, wanted: readonly Shard[]): Shard[] {
    const idle = [...this.#resident].filter((shard) => shard.numHolds === 0 && !wanted.includes(shard));
    if (sizeOf(idle) < excess) throw this.#tooSmall(wanted);
    const going: Shard[] = [];
    while (sizeOf(going) < excess) {
      const least = leastUsed(idle.filter((shard) => !going.includes(shard)));
      if (least) going.push(least);
    }
    return going;
  }

  /** Ends a hold. While memory is full, shards that a step uses once leave at once, so that the next request finds room. */
  #letGo(shards: readonly Shard[]): void {
    const wanted = sizeOf(shards);
    for (const shard of shards) {
      shard.numHolds--;
      const isFull = this.#residentBytes - this.#leavingBytes + wanted > this.budgetBytes;
      if (isFull && shard.usesPerStep === 1 && shard.numHolds === 0) this.#sendOff(shard);
    }
  }

  #sendOff(shard: Shard): void {
    const { sizeBytes } = shard;
    this.#leavingBytes += sizeBytes;
    const leaving = this.#writeBack(shard).then(() => this.#dropIdle(shard));
    // If writing fails the shard stays in memory; the error comes again when its room is needed.
    leaving.catch(() => {}).finally(() => (this.#leavingBytes -= sizeBytes));
  }

  async #writeBack(shard: Shard): Promise<void> {
    while (shard.moving) await shard.moving.catch(() => {});
    if (!shard.isDirty) return;
    shard.moving = this.#write(shard).finally(() => (shard.moving = null));
    await shard.moving;
  }

  async #write(shard: Shard): Promise<void> {
    Object.assign(shard, { isDirty: false, isStored: true });
    const { buffer } = shard.memory;
    const bytes = shard.form?.encode(buffer) ?? new Uint8Array(buffer);
    try {
      await this.#disk.write(shard.index, bytes);
    } catch (error) {
      shard.isDirty = true;
      throw error;
    }
    this.#traffic.writtenBytes += bytes.length;
  }

  /** Drops a shard, unless it is being written or somebody holds it again. */
  #dropIdle(shard: Shard): void {
    if (shard.numHolds > 0 || shard.isDirty || shard.moving || !this.#resident.has(shard)) return;
    shard.memory.retract();
    shard.isAhead = false;
    this.#resident.delete(shard);
    this.#residentBytes -= shard.sizeBytes;
    this.#traffic.evictedBytes += shard.sizeBytes;
  }

  #tooSmall(wanted: readonly Shard[]): CapacityError {
    const held = sizeOf([...this.#resident].filter((s) => s.numHolds > 0 && !wanted.includes(s)));
    const needed = this.#takenBytes + held + sizeOf(wanted);
    return new CapacityError(
      "capacity/memory",
      `Cannot hold ${wanted.map(({ name }) => name).join(", ")}: it needs ${needed} bytes with what is used beside it, expected at most ${this.budgetBytes}`,
      { hint: `Give --resident-memory ${showByteSize(needed)} or more.` },
    );
  }
}

/** Picks the shard that goes first, of shards of which the least recently used one is first. */
function leastUsed(shards: readonly Shard[]): Shard | undefined {
  const least = Math.min(...shards.map(({ usesPerStep }) => usesPerStep));
  const own = shards.filter(({ usesPerStep }) => usesPerStep === least);
  return (least === 1 ? own.findLast(({ isAhead }) => !isAhead) : undefined) ?? own[0];
}

function sizeOf(shards: readonly Shard[]): number {
  return shards.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
