/**
 * @file Where lasting vectors are kept: always in memory, or in memory only while somebody holds them.
 *
 * Code that reads or writes the numbers of such a vector holds it meanwhile; holding a vector that is always in memory costs nothing.
 */

import { claim } from "./claim.ts";

/** What a holder does with the memory; `overwrite` does not need the old numbers. */
export type Use = "read" | "change" | "overwrite";

/** A hold, until it is released. */
export interface Hold {
  release(): void;
}

/** The types in which numbers that never change may wait on the disk. */
export const SHARD_DTYPES = ["float32", "float16"] as const;
export type ShardDtype = (typeof SHARD_DTYPES)[number];

export interface MemorySpec {
  /** For messages: "gradients of block 3". */
  readonly name: string;
  readonly sizeBytes: number;
  /** Makes the numbers whenever they are not in memory; such numbers are only read, never changed. */
  readonly load?: () => Promise<void>;
  /** How often a step uses it, which decides what leaves memory first; default: Infinity. */
  readonly usesPerStep?: number;
  /** A shorter form in which the numbers of `load` wait on the disk: they are loaded once, and are from then on those of this form. */
  readonly form?: StoredForm;
}

/** How numbers are kept in fewer bytes. */
export interface StoredForm {
  /** Encodes the numbers of the memory into new bytes. */
  encode(buffer: ArrayBuffer): Uint8Array;
  /** The stretch of the memory into which encoded bytes are read; `decode` then turns them into its numbers. */
  place(buffer: ArrayBuffer): Uint8Array;
  decode(buffer: ArrayBuffer): void;
}

/** Any view into memory that was made here. */
export type View = Pick<ArrayBufferView, "buffer">;

/** Traffic between memory and disk, in bytes. */
export interface MemoryTraffic {
  /** Bytes in memory: now, and at most since the last call. */
  readonly residentBytes: number;
  readonly peakBytes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly evictedBytes: number;
}

export interface VectorMemory {
  /** The most bytes that may be in memory; null: no limit. */
  readonly budgetBytes: number | null;
  /** How frozen blocks wait on the disk: "float32" reads the model's own files again, "float16" keeps them rounded. */
  readonly frozenDtype: ShardDtype;
  /**
   * Makes memory of zeros; the views that `cut` makes of it stay valid. @throws CapacityError "capacity/memory" when there is not enough
   */
  make<T>(spec: MemorySpec, cut: (buffer: ArrayBuffer) => T): T;
  /**
   * Brings memory in and keeps it there until the hold is released; views into other memory are ignored.
   * @throws CapacityError "capacity/memory" when it does not fit beside what is held; errors of the disk
   */
  hold(views: Iterable<View>, use: Use): Promise<Hold>;
  /** Begins to bring in memory that is needed soon, if all of it fits; errors are left to the `hold` that follows. */
  prefetch(views: Iterable<View>, use: Use): void;
  /** Forgets numbers that nobody will read: they become zeros, or are loaded again. */
  discard(views: Iterable<View>): void;
  /** Returns the traffic since the last call; null where everything stays in memory. */
  takeTraffic(): MemoryTraffic | null;
}

const NO_HOLD: Hold = { release: () => {} };

/** Everything stays in memory. */
export const RESIDENT: VectorMemory = {
  budgetBytes: null,
  frozenDtype: "float32",
  make: ({ name, sizeBytes }, cut) => cut(claim(name, sizeBytes, () => new ArrayBuffer(sizeBytes))),
  hold: async () => NO_HOLD,
  prefetch: () => {},
  discard: () => {},
  takeTraffic: () => null,
};

/** Holds memory while work is done. */
export async function whileHeld<T>(
  memory: VectorMemory,
  views: Iterable<View>,
  use: Use,
  work: () => T | Promise<T>,
): Promise<T> {
  const hold = await memory.hold(views, use);
  try {
    return await work();
  } finally {
    hold.release();
  }
}

/** Memory that a piece of work needs, and for what. */
export type Need = readonly [views: Iterable<View>, use: Use];

/** Work on things of one kind, and the memory that it needs. */
interface HeldWork<T> {
  readonly needs: (thing: T) => readonly Need[];
  readonly work: (thing: T) => void | Promise<void>;
}

/**
 * Works on one thing after another. Holds the memory of each meanwhile and prefetches that of the next; `after`: the thing that
 * will follow the last.
 */
export async function holdInTurn<T>(
  memory: VectorMemory,
  things: readonly T[],
  { needs, work }: HeldWork<T>,
  after?: T,
): Promise<void> {
  for (const [i, thing] of things.entries()) {
    const next = things[i + 1] ?? after;
    const holds: Hold[] = [];
    try {
      for (const need of needs(thing)) holds.push(await memory.hold(...need));
      for (const need of next === undefined ? [] : needs(next)) memory.prefetch(...need);
      await work(thing);
    } finally {
      for (const hold of holds) hold.release();
    }
  }
}
