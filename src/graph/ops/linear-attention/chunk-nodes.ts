/** @file Nodes over chunks of tokens [B, n, H, C, E]: products within each chunk, and states carried from one to the next. */
import type { Emitter } from "../../emitter.ts";
import { linearAttentionOf } from "./linear-attention-nodes.ts";
import { TokenRows } from "./token-rows.ts";

interface Transposes {
  readonly transA?: 1;
  readonly transB?: 1;
}

export class ChunkNodes {
  readonly #emitter: Emitter;

  constructor(emitter: Emitter) {
    this.#emitter = emitter;
  }

  readonly mul = (x: string, y: string): string => this.#emitter.value("Mul", [x, y]);
  readonly add = (x: string, y: string): string => this.#emitter.value("Add", [x, y]);
  readonly exp = (x: string): string => this.#emitter.value("Exp", [x]);

  /** Multiplies matrices for each chunk and head. */
  readonly product = (x: string, y: string, transposed: Transposes = {}): string =>
    Object.keys(transposed).length === 0
      ? this.#emitter.value("MatMul", [x, y])
      : this.#emitter.value("com.microsoft.FusedMatMul", [x, y], { ...transposed });

  /** Sums along axes, which are kept with size 1. */
  readonly sum = (x: string, ...axes: readonly number[]): string =>
    this.#emitter.value("ReduceSum", [x, this.#emitter.int64(axes)]);

  /** Concatenates; y null: x alone. */
  readonly beside = (x: string, y: string | null, axis: number): string =>
    y === null ? x : this.#emitter.value("Concat", [x, y], { axis });

  /** The numbers of each chunk and head as one row or one column. */
  readonly line = (x: string, as: "row" | "column"): string => {
    const shape = this.#emitter.int64([0, 0, 0, ...(as === "row" ? [1, -1] : [-1, 1])]);
    return this.#emitter.value("Reshape", [x, shape]);
  };

  /** Splits [B, n, H, 2·C, E] into its two halves along the tokens. */
  readonly halves = (x: string): readonly [string, string] => {
    const outputs = [this.#emitter.temporary(), this.#emitter.temporary()] as const;
    this.#emitter.node("Split", [x], outputs, { axis: 3, num_outputs: 2 });
    return outputs;
  };

  /**
   * Accumulates what chunks add, [B, n, H, D, W], into the state before each chunk; from "end", going backward, into the state
   * after each chunk. Each chunk multiplies the state by the exponential of `decay` [B, n, H, 1, 1]. This is linear attention
   * whose keys are ones.
   */
  readonly carried = (
    added: string,
    decay: string,
    { from, numHeads }: { readonly from: "start" | "end"; readonly numHeads: number },
  ): string => {
    const rows = new TokenRows(this.#emitter, numHeads);
    const flat = (x: string): string => {
      const row = this.#emitter.value("Reshape", [x, this.#emitter.int64([0, 0, -1])]);
      return rows.previous(from === "start" ? row : rows.reverse(row));
    };
    const decays = flat(decay);
    const ones = this.#emitter.value("Expand", [
      this.#emitter.scalar(1),
      this.#emitter.value("Shape", [decays]),
    ]);
    const given = { query: ones, key: ones, value: flat(added), decay: decays, rate: null };
    const states = linearAttentionOf(this.#emitter, given, numHeads);
    const shape = this.#emitter.value("Shape", [added]);
    return this.#emitter.value("Reshape", [from === "start" ? states : rows.reverse(states), shape]);
  };
}
