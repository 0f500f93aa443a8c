/** @file Keeps host memory for reuse: released memory is lent again before new memory is allocated. */
import { DTYPES, type DType } from "../../graph/dtype.ts";
import { BlockShelf, type Sized } from "./block-shelf.ts";
import type { HostTensor } from "../host-tensor.ts";
import { DroppedMemory, type MakeMemory, makeCounted } from "./program-memory.ts";
import { numElements, showShape } from "../../graph/shape.ts";

/** A block of memory. Its views are made once per shape, so a steady loop makes none. */
interface Block extends Sized {
  readonly buffer: ArrayBufferLike;
  readonly views: Map<string, HostTensor>;
  /** The view that is lent; null: the block is free. */
  lent: HostTensor | null;
  /** The pool that lent it last. */
  borrower: BufferPool | null;
}

/** Views that a block remembers at most, so that batches of ever new lengths do not pile them up. */
const MAX_VIEWS = 8;

export class BufferPool {
  readonly #shelf: BlockShelf<Block>;
  readonly #blockOf: WeakMap<HostTensor, Block>;

  /** `from` makes memory, as an engine's `makeMemory` does, or is a pool whose blocks this one shares. */
  constructor(from: MakeMemory | BufferPool = makeCounted) {
    const isShared = from instanceof BufferPool;
    this.#shelf = isShared ? from.#shelf : shelfOf(from);
    this.#blockOf = isShared ? from.#blockOf : new WeakMap();
  }

  /** Bytes of all blocks, lent or free. */
  get allocatedBytes(): number {
    return [...this.#shelf.blocks].reduce((sum, { capacityBytes }) => sum + capacityBytes, 0);
  }

  /** Lends a tensor; its contents are undefined. The borrower gives it back with `release`. */
  acquire<D extends DType>(dtype: D, shape: readonly number[]): HostTensor<D> {
    const block = this.#shelf.take(numElements(shape) * DTYPES[dtype].sizeBytes);
    const key = `${dtype}[${shape.join(",")}]`;
    let view = block.views.get(key);
    if (!view) {
      if (block.views.size >= MAX_VIEWS) block.views.clear();
      const data = new DTYPES[dtype].array(block.buffer as ArrayBuffer, 0, numElements(shape));
      view = { dtype, shape: [...shape], data };
      block.views.set(key, view);
      this.#blockOf.set(view, block);
    }
    block.lent = view;
    block.borrower = this;
    return view as HostTensor<D>;
  }

  /** Takes tensors back. @throws RangeError for one that is not lent. */
  release(...tensors: readonly HostTensor[]): void {
    for (const tensor of tensors) {
      const block = this.#blockOf.get(tensor);
      if (block?.lent !== tensor) {
        throw new RangeError(`Cannot release ${tensor.dtype} ${showShape(tensor.shape)}: it is not lent`);
      }
      block.lent = null;
      this.#shelf.put(block);
    }
  }

  /** Takes back everything that this pool has lent, as after work that failed; nobody may use it any more. */
  takeBack(): void {
    for (const { lent, borrower } of this.#shelf.blocks) if (lent && borrower === this) this.release(lent);
  }

  /** Drops everything that is not lent. */
  clear(): void {
    this.#shelf.clear();
  }
}

function shelfOf(makeMemory: MakeMemory): BlockShelf<Block> {
  const dropped = new DroppedMemory();
  return new BlockShelf<Block>(
    (capacityBytes) => ({
      capacityBytes,
      buffer: makeMemory(capacityBytes),
      views: new Map(),
      lent: null,
      borrower: null,
    }),
    (capacityBytes) => dropped.add(capacityBytes),
  );
}
