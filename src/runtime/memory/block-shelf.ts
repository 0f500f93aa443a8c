/**
 * @file Blocks of memory that are lent, returned and lent again: decides which block a request gets and when a new one is made.
 *
 * A request takes the smallest free block that holds it and is not more than twice as large, so requests of changing sizes share
 * blocks. The caller decides what a block is: memory, or an estimate of it.
 */

/** Anything that has a size. */
export interface Sized {
  readonly capacityBytes: number;
}

/** How many times as large as the request a block may be. */
const MAX_OVERSIZE = 2;

export class BlockShelf<B extends Sized> {
  /** Free blocks by rising size. */
  readonly #free: B[] = [];
  readonly #make: (capacityBytes: number) => B;
  readonly #dropped: (capacityBytes: number) => void;
  /** All blocks, lent or free. */
  readonly blocks = new Set<B>();

  /** `dropped` is called with the size of each block that is dropped. */
  constructor(make: (capacityBytes: number) => B, dropped: (capacityBytes: number) => void = () => {}) {
    this.#make = make;
    this.#dropped = dropped;
  }

  /** Lends a block of at least this size. */
  take(sizeBytes: number): B {
    const place = this.#free.findIndex(({ capacityBytes }) => capacityBytes >= sizeBytes);
    const fits = place >= 0 && this.#free[place]!.capacityBytes <= MAX_OVERSIZE * sizeBytes;
    return fits ? this.#free.splice(place, 1)[0]! : this.#allocate(sizeBytes);
  }

  #allocate(sizeBytes: number): B {
    // Drops the next smaller free block if it is nearly large enough, so that changing lengths do not each leave a set of blocks.
    const place = this.#free.findLastIndex(({ capacityBytes }) => capacityBytes < sizeBytes);
    const isNear = place >= 0 && MAX_OVERSIZE * this.#free[place]!.capacityBytes >= sizeBytes;
    if (isNear) this.#drop(this.#free.splice(place, 1)[0]!);
    const made = this.#make(roundUp(sizeBytes));
    this.blocks.add(made);
    return made;
  }

  /** Takes a block back. */
  put(block: B): void {
    const place = this.#free.findIndex(({ capacityBytes }) => capacityBytes > block.capacityBytes);
    this.#free.splice(place < 0 ? this.#free.length : place, 0, block);
  }

  /** Drops everything that is not lent. */
  clear(): void {
    for (const block of this.#free.splice(0)) this.#drop(block);
  }

  #drop(block: B): void {
    this.blocks.delete(block);
    this.#dropped(block.capacityBytes);
  }
}

/** Rounds up to an eighth of a power of two: common sizes are exact, and few different sizes occur. */
function roundUp(sizeBytes: number): number {
  const unit = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, sizeBytes))) - 3);
  return Math.ceil(sizeBytes / unit) * unit;
}
