/** @file Tensors that a pass over the model is lent, and by whom. */
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { VectorMemory } from "../../runtime/memory/vector-memory.ts";

/** What programs read, by the names of their inputs. */
export type WeightTensors = Readonly<Record<string, HostTensor>>;

/** Tensors of one block, lent until they are released. */
export interface Loan {
  readonly tensors: WeightTensors;
  release(): void;
}

/** What lends blocks. */
export interface Lender {
  /** Where blocks are; within a budget, the next one is not lent ahead but only begun to be read. */
  readonly memory: VectorMemory;
  borrow(layer: number, tensors: readonly TensorRead[]): Promise<Loan>;
  prefetch(layer: number, tensors: readonly TensorRead[]): void;
}
