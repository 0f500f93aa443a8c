/** @file Numbers that are trained: where memory has a budget they wait on the disk, and whoever runs a program of them holds them. */
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { Loan, Lender } from "./loan.ts";

type Trained = Pick<AdapterView, "trained">;

/** The numbers that are trained of a block, or (`layer` null) outside of the blocks. */
export function trainedValues(adapter: Trained, layer: number | null): Float32Array[] {
  return adapter.trained(layer).map(({ value }) => value.data);
}

/** Lends what is trained of a block with what is frozen. */
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
