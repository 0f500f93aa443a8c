/** @file Tensors that a pass over the model borrows, and their lender. */
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";
import type { VectorMemory } from "../../runtime/memory/vector-memory.ts";

/** Tensors of one block, valid until they are released. */
export interface Loan {
  readonly tensors: Tensors;
  release(): void;
}

/** Lends the tensors of blocks. */
export interface Lender {
  /** Where blocks are. Within a budget, the next block is not borrowed ahead, but only prefetched. */
  readonly memory: VectorMemory;
  borrow(layer: number, tensors: readonly TensorRead[]): Promise<Loan>;
  prefetch(layer: number, tensors: readonly TensorRead[]): void;
}
