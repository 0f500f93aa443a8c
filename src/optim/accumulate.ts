/** @file Adds one flat vector to another, piece by piece: gradients of several batches into one. */
import { Graph } from "../graph/graph.ts";
import { add } from "../graph/ops/add.ts";
import type { Engine } from "../runtime/engine.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { FlatChunks, checkLength } from "./flat-chunks.ts";

/** Adds vectors. */
export interface Accumulator {
  /** Adds `from` to `into`, in place. @throws RangeError when their lengths differ. */
  accumulate(into: Float32Array, from: Float32Array): Promise<void>;
  /** Frees the compiled program. */
  release(): Promise<void>;
}

/** Compiles the sum of two vectors of any length. */
export async function createAccumulator(engine: Engine): Promise<Accumulator> {
  const graph = new Graph();
  const into = graph.input("into", "float32", ["P"]);
  const from = graph.input("from", "float32", ["P"]);
  const program = await engine.compile({
    name: "accumulate",
    inputs: { into, from },
    outputs: { sum: add(into, from) },
  });
  const chunks = new FlatChunks();
  return {
    release: () => program.release(),
    accumulate: async (into, from) => {
      checkLength("a vector to add", from, into.length);
      const targets = chunks.of(into);
      for (const [i, piece] of chunks.of(from).entries()) {
        const target = targets[i] as HostTensor<"float32">;
        const sum = chunks.scratch("sum", piece.data.length);
        await program.run({ into: target, from: piece }, { sum });
        target.data.set(sum.data);
      }
    },
  };
}
