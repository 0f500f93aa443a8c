/**
 * @file Memory within a budget: what a step uses least goes to the disk, and comes back when it is held. Of what it uses
 * equally often, what was used longest ago; of what it uses once, in the same order each time, what was used last.
 *
 * Bytes in memory never exceed the budget, at no instant. What is held never goes; what is there is never in the way of
 * itself. Shards move for one request at a time.
 */
import { CapacityError } from "../../errors.ts";
import { showByteSize } from "../../messages/byte-size.ts";
import { allDone } from "./all-done.ts";
import type { Pages } from "./retractable.ts";
import { Shard, type ShardDisk } from "./shard.ts";
import type {
  Hold,
  MemorySpec,
  MemoryTraffic,
  ShardDtype,
  Use,
  VectorMemory,
  View,
} from "./vector-memory.ts";

interface ShardMemoryOptions {
  /** How frozen numbers wait on the disk; "float32" unless given. */
  readonly frozenDtype?: ShardDtype | undefined;
  /** Where a shard may lie; null, as for all unless given: in a buffer of its own. */
  readonly reserve?: (spec: MemorySpec) => Pages | null;
  /** Bytes in memory all the time that are no shard, and count; 0 unless given. */
  readonly takenBytes?: number;
}

export class ShardMemory implements VectorMemory {
  readonly budgetBytes: number;
  readonly frozenDtype: ShardDtype;
  readonly #disk: ShardDisk;
  readonly #reserve: (spec: MemorySpec) => Pages | null;
  readonly #takenBytes: number;
  readonly #shardOf = new WeakMap<ArrayBufferLike, Shard>();
  /** The shards in memory, the least recently used one first. */
  readonly #resident = new Set<Shard>();
  #numShards = 0;
  #residentBytes: number;
  /** Bytes of resident shards that are already on their way to the disk. */
  #leavingBytes = 0;
  /** Whether a shard has had to go: then others will. */
  #isShort = false;
  #traffic = { peakBytes: 0, readBytes: 0, writtenBytes: 0, evictedBytes: 0 };
  /** Ends when the last request in the queue is done. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(budgetBytes: number, disk: ShardDisk, options: ShardMemoryOptions = {}) {
    const { frozenDtype = "float32", reserve = () => null, takenBytes = 0 } = options;
    this.budgetBytes = budgetBytes;
    this.frozenDtype = frozenDtype;
    this.#disk = disk;
    this.#reserve = reserve;
    this.#residentBytes = takenBytes;
    this.#takenBytes = takenBytes;
  }

  make<T>(spec: MemorySpec, cut: (buffer: ArrayBuffer) => T): T {
    const shard = new Shard(spec, this.#numShards++, this.#disk, this.#reserve(spec));
    this.#shardOf.set(shard.memory.buffer, shard);
    // A new shard is not given back: none of its pages has been touched, and giving it back would touch all of them.
    return cut(shard.memory.buffer);
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
      shard.use(use);
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
      shard.forget();
      const settling = this.#isShort && this.#resident.has(shard) ? shard.settle() : null;
      if (settling) void settling.catch(() => {}).then(() => this.#dropIdle(shard));
      else this.#dropIdle(shard);
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
    this.#residentBytes += sizeBytes;
    this.#traffic.peakBytes = Math.max(this.#traffic.peakBytes, this.#residentBytes);
    try {
      const areZeros = memory.isThere || (await memory.extend());
      const numBytes = await shard.fill(use, { areZeros });
      this.#traffic.readBytes += numBytes;
    } catch (error) {
      this.#residentBytes -= sizeBytes;
      memory.retract();
      throw error;
    }
    this.#touch(shard);
  }

  /** Drops what is used least, and nothing of these shards themselves, until all of them fit. @throws CapacityError if they cannot */
  async #makeRoomFor(wanted: readonly Shard[]): Promise<void> {
    for (;;) {
      const missing = sizeOf(wanted.filter((shard) => !this.#resident.has(shard)));
      const excess = this.#residentBytes + missing - this.budgetBytes;
      if (excess <= 0) return;
      this.#isShort = true;
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
    const numBytes = await shard.writeBack();
    this.#traffic.writtenBytes += numBytes;
  }

  /** Drops a shard, unless it is being written or somebody holds it again. */
  #dropIdle(shard: Shard): void {
    if (!shard.isIdle || !this.#resident.has(shard)) return;
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
      `Cannot hold ${wanted.map(({ name }) => name).join(", ")}: it needs ${needed} bytes together with what is used at the same time, expected at most ${this.budgetBytes}`,
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
