/** @file Adds vectors in place. */
import { Graph } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import type { Engine, Program } from "../../runtime/engine.ts";
import { FlatChunks } from "../../runtime/flat-chunks.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

export class VectorSums {
  readonly #program: Program;
  readonly #chunks = new FlatChunks();

  private constructor(program: Program) {
    this.#program = program;
  }

  static async create(engine: Engine): Promise<VectorSums> {
    const graph = new Graph();
    const [a, b] = [graph.input("a", "float32", ["N"]), graph.input("b", "float32", ["N"])];
    const outputs = { sum: add(a, b) };
    return new VectorSums(await engine.compile({ name: "add-gradient", inputs: { a, b }, outputs }));
  }

  /** Adds a vector to another of the same length, piece by piece: the sum of a large one needs no memory of its size. */
  async add(into: Float32Array, numbers: Float32Array): Promise<void> {
    const others = this.#chunks.of(numbers);
    for (const [i, a] of this.#chunks.of(into).entries()) {
      const sum = this.#chunks.scratch("sum", a.data.length);
      await this.#program.run({ a, b: others[i] as HostTensor }, { sum });
      a.data.set(sum.data);
    }
  }

  /** Frees the compiled program. */
  release(): Promise<void> {
    return this.#program.release();
  }
}
