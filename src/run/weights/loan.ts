/** @file Tensors that a pass over the model is lent, and by whom. */
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";
import type { VectorMemory } from "../../runtime/memory/vector-memory.ts";

/** Tensors of one block, lent until they are released. */
export interface Loan {
  readonly tensors: Tensors;
  release(): void;
}

/** What lends blocks. */
export interface Lender {
  /** Where blocks are; within a budget, the next one is not lent ahead but only begun to be read. */
  readonly memory: VectorMemory;
  borrow(layer: number, tensors: readonly TensorRead[]): Promise<Loan>;
  prefetch(layer: number, tensors: readonly TensorRead[]): void;
}
