/** @file Contract of what keeps the operands of a base's matrices from one run of the program to the next. */
import type { Tensors } from "../runtime/host-tensor.ts";
import type { OperandSpec } from "./compute.ts";

export interface OperandStore {
  /**
   * Finds the operands of a tensor by suffix as an earlier run made them, bit for bit, by the name under which they are kept; they
   * are not to be changed. Null: they are to be made.
   */
  find(tensor: string, keptAs: string, specs: readonly OperandSpec[]): Promise<Tensors | null>;
  /** Takes note of what was made. What has changed by the time of `save` is not found again. */
  add(tensor: string, keptAs: string, made: Tensors): void;
  /** Keeps what was added, where there is room for it. Never fails. */
  save(): Promise<void>;
}
