/** @file Keeps host memory for reuse: what was released is handed out again before anything is allocated. */
import { DTYPES, type DType } from "../../graph/dtype.ts";
import { BlockShelf, type Sized } from "./block-shelf.ts";
import type { HostTensor } from "../host-tensor.ts";
import { DroppedMemory, type MakeMemory, makeCounted } from "./program-memory.ts";
import { numElements, showShape } from "../../graph/shape.ts";

/** Views into it are made once per shape: a steady loop makes none. */
interface Block extends Sized {
  readonly buffer: ArrayBufferLike;
  readonly views: Map<string, HostTensor>;
  /** The view that is lent; null: the block is free. */
  lent: HostTensor | null;
}

/** Views that a block remembers: batches of ever new lengths must not pile them up. */
const MAX_VIEWS = 8;

export class BufferPool {
  readonly #dropped = new DroppedMemory();
  readonly #shelf: BlockShelf<Block>;
  readonly #blockOf = new WeakMap<HostTensor, Block>();

  /** `makeMemory`: as the engine makes it that runs on it. */
  constructor(makeMemory: MakeMemory = makeCounted) {
    this.#shelf = new BlockShelf<Block>(
      (capacityBytes) => ({ capacityBytes, buffer: makeMemory(capacityBytes), views: new Map(), lent: null }),
      (capacityBytes) => this.#dropped.add(capacityBytes),
    );
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

  /** Drops everything that is not lent. */
  clear(): void {
    this.#shelf.clear();
  }
}
