/** @file Adds up the squares of vectors, for the norm of gradients. */
import { Graph } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import { reduceSum } from "../../graph/ops/shapes/reduce-expand.ts";
import type { Engine, Program } from "../../runtime/engine.ts";
import { zeros } from "../../runtime/host-tensor.ts";
import { FlatChunks } from "../../runtime/flat-chunks.ts";

export class Squares {
  readonly #program: Program;
  readonly #chunks = new FlatChunks();
  readonly #squares = zeros("float32", [1]);

  private constructor(program: Program) {
    this.#program = program;
  }

  static async create(engine: Engine): Promise<Squares> {
    const graph = new Graph();
    const gradient = graph.input("gradient", "float32", ["P"]);
    const outputs = { squares: reduceSum(mul(gradient, gradient), [0]) };
    return new Squares(await engine.compile({ name: "squares", inputs: { gradient }, outputs }));
  }

  /** Sums the squares of all elements; pieces are added in float64. NaN if an element is NaN. */
  async of(vectors: readonly Float32Array[]): Promise<number> {
    let sum = 0;
    for (const vector of vectors) {
      for (const gradient of this.#chunks.of(vector)) {
        await this.#program.run({ gradient }, { squares: this.#squares });
        sum += this.#squares.data[0]!;
      }
    }
    return sum;
  }

  /** Frees the compiled program. */
  release(): Promise<void> {
    return this.#program.release();
  }
}
