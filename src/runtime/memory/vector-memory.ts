/**
 * @file Where vectors are that must last: in memory for good, or in memory only while somebody holds them.
 *
 * Whoever reads or writes numbers of such a vector holds it meanwhile; all that stays in memory costs nothing to hold.
 */

import { claim } from "./claim.ts";

/** What a holder does with the memory; `overwrite` does not need the old numbers. */
export type Use = "read" | "change" | "overwrite";

/** A hold, until it is released. */
export interface Hold {
  release(): void;
}

/** How numbers that never change wait on the disk. */
export const SHARD_DTYPES = ["float32", "float16"] as const;
export type ShardDtype = (typeof SHARD_DTYPES)[number];

export interface MemorySpec {
  /** For messages: "gradients of block 3". */
  readonly name: string;
  readonly sizeBytes: number;
  /** Makes the numbers whenever they are not in memory; such numbers are only read, never changed. */
  readonly load?: () => Promise<void>;
  /** How often a step uses it, which decides what leaves memory first; Infinity unless given. */
  readonly usesPerStep?: number;
  /** A shorter form in which they wait on the disk: they are made once, and are from then on what it holds. */
  readonly form?: StoredForm;
}

/** How numbers are kept in fewer bytes. */
export interface StoredForm {
  /** Writes the numbers of memory in new bytes. */
  encode(buffer: ArrayBuffer): Uint8Array;
  /** Where in memory as many bytes are read into, and how they become its numbers. */
  place(buffer: ArrayBuffer): Uint8Array;
  decode(buffer: ArrayBuffer): void;
}

/** Any view into memory that was made here. */
export type View = Pick<ArrayBufferView, "buffer">;

/** Traffic between memory and disk, in bytes. */
export interface MemoryTraffic {
  /** Held now, and at most since the last look. */
  readonly residentBytes: number;
  readonly peakBytes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly evictedBytes: number;
}

export interface VectorMemory {
  /** Bytes in memory at most; null: as many as there are. */
  readonly budgetBytes: number | null;
  /** How frozen blocks wait on the disk: in the model's own files, read again, or rounded to halves. */
  readonly frozenDtype: ShardDtype;
  /** Makes memory of zeros; `cut` makes views of it, which last. @throws CapacityError "capacity/memory" where there is not so much */
  make<T>(spec: MemorySpec, cut: (buffer: ArrayBuffer) => T): T;
  /**
   * Brings memory in and keeps it there until the hold is released; views into other memory are passed over.
   * @throws CapacityError "capacity/memory" when it does not fit beside what is held; errors of the disk
   */
  hold(views: Iterable<View>, use: Use): Promise<Hold>;
  /** Begins to bring memory in that is needed soon, as far as it fits; what goes wrong is told when it is held. */
  prefetch(views: Iterable<View>, use: Use): void;
  /** Forgets numbers that nobody will read. */
  discard(views: Iterable<View>): void;
  /** What happened since the last call; null where everything stays in memory. */
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

/** Memory that something needs. */
export type Need = readonly [views: Iterable<View>, use: Use];

/** What is done with things of a kind, and the memory that it needs. */
interface HeldWork<T> {
  readonly needs: (thing: T) => readonly Need[];
  readonly work: (thing: T) => void | Promise<void>;
}

/**
 * Does work on one thing after another, each while its memory is held and that of the next is on its way; `after`: what comes
 * after the last.
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
