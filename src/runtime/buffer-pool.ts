/**
 * @file Keeps host memory for reuse: what was released is handed out again before anything is allocated.
 *
 * A request takes the smallest free block that holds it and is not more than twice as large, so batches of changing
 * lengths share blocks. Views into a block are made once per shape: a steady loop makes none.
 */
import { DTYPES, type DType } from "../graph/dtype.ts";
import type { HostTensor } from "./host-tensor.ts";
import { numElements, showShape } from "../graph/shape.ts";

interface Block {
  readonly buffer: ArrayBuffer;
  readonly views: Map<string, HostTensor>;
  /** The view that is lent; null: the block is free. */
  lent: HostTensor | null;
}

/** Views that a block remembers: batches of ever new lengths must not pile them up. */
const MAX_VIEWS = 8;
/** The largest share of a block that may lie idle. */
const MAX_OVERSIZE = 2;

export class BufferPool {
  /** Free blocks by rising size. */
  readonly #free: Block[] = [];
  readonly #blockOf = new WeakMap<HostTensor, Block>();
  #allocatedBytes = 0;

  /** Bytes of all blocks, lent or free. */
  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  /** Lends a tensor; its contents are undefined. The borrower gives it back with `release`. */
  acquire<D extends DType>(dtype: D, shape: readonly number[]): HostTensor<D> {
    const sizeBytes = numElements(shape) * DTYPES[dtype].sizeBytes;
    const place = this.#free.findIndex(({ buffer }) => buffer.byteLength >= sizeBytes);
    const fits = place >= 0 && (this.#free[place] as Block).buffer.byteLength <= MAX_OVERSIZE * sizeBytes;
    const block = fits ? (this.#free.splice(place, 1)[0] as Block) : this.#allocate(sizeBytes);
    const key = `${dtype}[${shape.join(",")}]`;
    let view = block.views.get(key);
    if (!view) {
      if (block.views.size >= MAX_VIEWS) block.views.clear();
      const data = new DTYPES[dtype].array(block.buffer, 0, numElements(shape));
      view = { dtype, shape: [...shape], data };
      block.views.set(key, view);
      this.#blockOf.set(view, block);
    }
    block.lent = view;
    return view as HostTensor<D>;
  }

  #allocate(sizeBytes: number): Block {
    // One that is just too small makes room, so that changing lengths do not leave a set of blocks each.
    const place = this.#free.findLastIndex(({ buffer }) => buffer.byteLength < sizeBytes);
    const isNear = place >= 0 && MAX_OVERSIZE * (this.#free[place] as Block).buffer.byteLength >= sizeBytes;
    const [dropped] = isNear ? this.#free.splice(place, 1) : [];
    const capacity = roundUp(sizeBytes);
    this.#allocatedBytes += capacity - (dropped?.buffer.byteLength ?? 0);
    return { buffer: new ArrayBuffer(capacity), views: new Map(), lent: null };
  }

  /** Takes tensors back. @throws RangeError for one that is not lent. */
  release(...tensors: readonly HostTensor[]): void {
    for (const tensor of tensors) {
      const block = this.#blockOf.get(tensor);
      if (block?.lent !== tensor) {
        throw new RangeError(`Cannot release ${tensor.dtype} ${showShape(tensor.shape)}: it is not lent`);
      }
      block.lent = null;
      const place = this.#free.findIndex(({ buffer }) => buffer.byteLength > block.buffer.byteLength);
      this.#free.splice(place < 0 ? this.#free.length : place, 0, block);
    }
  }

  /** Drops everything that is not lent. */
  clear(): void {
    for (const { buffer } of this.#free) this.#allocatedBytes -= buffer.byteLength;
    this.#free.length = 0;
  }
}

/** Eighths of a power of two: common sizes are exact, and few sizes occur. */
function roundUp(sizeBytes: number): number {
  const unit = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, sizeBytes))) - 3);
  return Math.ceil(sizeBytes / unit) * unit;
}
