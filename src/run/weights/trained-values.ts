/** @file Trained values: within a budget of memory they wait on the disk, and whoever runs a program that reads them holds them. */
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { Loan, Lender } from "./loan.ts";

type Trained = Pick<AdapterView, "trained">;

/** The trained values of a block, or (`layer` null) of what lies outside the blocks. */
export function trainedValues(adapter: Trained, layer: number | null): Float32Array[] {
  return adapter.trained(layer).map(({ value }) => value.data);
}

/** Lends a block's trained values together with its frozen tensors. */
export function withTrained(weights: Lender, adapter: Trained): Lender {
  const { memory } = weights;
  return {
    memory,
    async borrow(layer: number, reads: readonly TensorRead[]): Promise<Loan> {
      const loan = await weights.borrow(layer, reads);
      const trained = await memory.hold(trainedValues(adapter, layer), "read").catch((error: unknown) => {
        loan.release();
        throw error;
      });
      const release = (): void => [loan, trained].forEach((each) => each.release());
      return { tensors: loan.tensors, release };
    },
    prefetch(layer: number, reads: readonly TensorRead[]): void {
      weights.prefetch(layer, reads);
      memory.prefetch(trainedValues(adapter, layer), "read");
    },
  };
}
