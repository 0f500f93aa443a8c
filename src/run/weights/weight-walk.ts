/** @file A walk over the blocks of a model in any direction: it holds the block in use, and reads the next one meanwhile. */
import type { Tensors } from "../../runtime/host-tensor.ts";
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { Loan, Lender } from "./loan.ts";

export class WeightWalk {
  readonly #weights: Lender;
  readonly #readsOf: (layer: number) => readonly TensorRead[];
  readonly #numLayers: number;
  #held: Loan | null = null;
  #ahead: { readonly layer: number; readonly loan: Promise<Loan> } | null = null;

  constructor(weights: Lender, numLayers: number, readsOf: (layer: number) => readonly TensorRead[]) {
    this.#weights = weights;
    this.#numLayers = numLayers;
    this.#readsOf = readsOf;
  }

  /** The tensors of a block, valid until the next call; `next` is the block that will be requested after it. */
  async block(layer: number, next: number): Promise<Tensors> {
    this.#held?.release();
    this.#held = null;
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead?.layer !== layer) drop(ahead);
    const loan = ahead?.layer === layer ? ahead.loan : this.#weights.borrow(layer, this.#readsOf(layer));
    this.#held = await loan;
    if (next < 0 || next >= this.#numLayers) return this.#held.tensors;
    if (this.#weights.memory.budgetBytes !== null) this.#weights.prefetch(next, this.#readsOf(next));
    else {
      const reading = this.#weights.borrow(next, this.#readsOf(next));
      // A failure of reading ahead is reported when the block is requested.
      reading.catch(() => {});
      this.#ahead = { layer: next, loan: reading };
    }
    return this.#held.tensors;
  }

  /** Releases what is held. */
  end(): void {
    this.#held?.release();
    this.#held = null;
    drop(this.#ahead);
    this.#ahead = null;
  }
}

function drop(ahead: { readonly loan: Promise<Loan> } | null): void {
  ahead?.loan.then(
    (loan) => loan.release(),
    () => {},
  );
}
