/** @file Contract of a store that keeps the operands of a base's matrices between runs of graft. */
import type { Tensors } from "../runtime/host-tensor.ts";
import type { OperandSpec } from "./compute.ts";

export interface OperandStore {
  /**
   * Finds the operands of a tensor, by suffix, exactly as an earlier run made them; `keptAs` is that of their `Preparation`. They
   * must not be changed. Null: they have to be made.
   */
  find(tensor: string, keptAs: string, specs: readonly OperandSpec[]): Promise<Tensors | null>;
  /** Notes operands that were made, for `save`. If they have changed by then, they are not found again. */
  add(tensor: string, keptAs: string, made: Tensors): void;
  /** Stores what was added, if there is room. Never fails. */
  save(): Promise<void>;
}
