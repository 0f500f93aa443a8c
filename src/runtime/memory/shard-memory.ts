/**
 * @file Memory within a budget: the shards that a step uses least often go to the disk, and come back when they are held. Among shards
 * used equally often the least recently used goes first; among those used once, always in the same order, the most recently used.
 *
 * Bytes in memory never exceed the budget, at no instant. A shard that is held never goes, nor does one that the same request
 * wants. Requests bring in shards one at a time.
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
  /** How frozen numbers wait on the disk; default: "float32". */
  readonly frozenDtype?: ShardDtype | undefined;
  /** Reserves pages for a shard; null, the default: it lies in a buffer of its own. */
  readonly reserve?: (spec: MemorySpec) => Pages | null;
  /** Bytes always in memory beside the shards that count towards the budget; default: 0. */
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
  /** Bytes of resident shards that are being written to the disk in order to leave. */
  #leavingBytes = 0;
  /** Whether a shard has had to leave memory; then others will too. */
  #isShort = false;
  #traffic = { peakBytes: 0, readBytes: 0, writtenBytes: 0, evictedBytes: 0 };
  /** Settles when the last request in the queue is done. */
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

  /** Makes room for the missing shards and reads them, all at once, since copying alone keeps one processor busy. */
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

  /** Drops the least used shards, but none of the wanted ones, until all wanted ones fit. @throws CapacityError if they cannot */
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

  /** Picks shards that nobody holds, until their sizes add up to the excess. */
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

  /** Ends a hold. While memory is full, shards that a step uses once are written and dropped now, so that the next request finds room. */
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
    // If writing fails, the shard stays in memory; the error recurs when its room is needed.
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

/** Picks the shard that goes first. `shards` are ordered from the least to the most recently used. */
function leastUsed(shards: readonly Shard[]): Shard | undefined {
  const least = Math.min(...shards.map(({ usesPerStep }) => usesPerStep));
  const own = shards.filter(({ usesPerStep }) => usesPerStep === least);
  return (least === 1 ? own.findLast(({ isAhead }) => !isAhead) : undefined) ?? own[0];
}

function sizeOf(shards: readonly Shard[]): number {
  return shards.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
