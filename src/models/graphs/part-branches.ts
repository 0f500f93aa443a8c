/** @file The residual branches of a part, and what their products cost. */
import type { Value } from "../../graph/graph.ts";
import type { AttentionOptions } from "../../nn/builder.ts";

/** Facts about a residual branch. */
export interface Branch {
  readonly name: string;
  /** Multiplications of its products for one token, of experts only those expected to be chosen. */
  readonly numMultiplications: number;
  /** Null: none. */
  readonly attention: AttentionOptions | null;
}

/** A residual branch with the stream before and after it. */
export interface BranchGraph extends Branch {
  readonly input: Value;
  readonly sum: Value;
}

export class PartBranches {
  readonly all: BranchGraph[] = [];
  /** Multiplications of all products so far, for one token. */
  #numMultiplications = 0;

  /** Counts a product. */
  count(numMultiplications: number): void {
    this.#numMultiplications += numMultiplications;
  }

  /** Notes the branch that `build` makes, with the products that are counted meanwhile; returns its sum. */
  add(name: string, input: Value, build: () => Pick<BranchGraph, "sum" | "attention">): Value {
    const before = this.#numMultiplications;
    const { sum, attention } = build();
    this.all.push({ name, input, sum, attention, numMultiplications: this.#numMultiplications - before });
    return sum;
  }
}
