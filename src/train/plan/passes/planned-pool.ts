/**
 * @file A pool of buffers without memory. It lends buffers as the real pool does and records how much memory that would take.
 */
import { DTYPES } from "../../../graph/dtype.ts";
import type { TensorType } from "../../../graph/graph.ts";
import { type Bindings, evaluateSize } from "../../../graph/shape.ts";
import { BlockShelf, type Sized } from "../../../runtime/memory/block-shelf.ts";

/** A block that is lent, or was earlier. */
export interface PlannedBlock extends Sized {
  /** Bytes of the tensor for which it is lent, or was lent last. */
  lentBytes: number;
  /** The most bytes of it that were ever written: pages that were never touched take no memory. */
  touchedBytes: number;
}

export class PlannedPool {
  readonly #shelf = new BlockShelf<PlannedBlock>((capacityBytes) => ({
    capacityBytes,
    lentBytes: 0,
    touchedBytes: 0,
  }));

  /** Lends a block for a tensor. */
  acquire({ dtype, shape }: TensorType, bindings: Bindings): PlannedBlock {
    return this.lend(evaluateSize(shape, bindings) * DTYPES[dtype].sizeBytes);
  }

  /** Lends a block of at least this size. */
  lend(sizeBytes: number): PlannedBlock {
    const block = this.#shelf.take(sizeBytes);
    block.lentBytes = sizeBytes;
    block.touchedBytes = Math.max(block.touchedBytes, sizeBytes);
    return block;
  }

  release(...blocks: readonly PlannedBlock[]): void {
    for (const block of blocks) this.#shelf.put(block);
  }

  /** Memory that the real pool would hold. */
  get residentBytes(): number {
    return [...this.#shelf.blocks].reduce((sum, { touchedBytes }) => sum + touchedBytes, 0);
  }
}
