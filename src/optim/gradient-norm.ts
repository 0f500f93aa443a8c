/** @file The length of the flat gradient vector, and the factor that clips it. */
import { Graph } from "../graph/graph.ts";
import { mul } from "../graph/ops/mul.ts";
import { reduceSum } from "../graph/ops/reduce-sum.ts";
import type { Engine } from "../runtime/engine.ts";
import { zeros } from "../runtime/host-tensor.ts";
import { FlatChunks } from "./flat-chunks.ts";

/** Measures vectors. */
export interface GradientNorm {
  /** The L2 norm of a vector; pieces are added in float64. Not a number when an element is none. */
  norm(gradients: Float32Array): Promise<number>;
  /** Frees the compiled program. */
  release(): Promise<void>;
}

/** Compiles the norm of a vector of any length. */
export async function createGradientNorm(engine: Engine): Promise<GradientNorm> {
  const graph = new Graph();
  const gradient = graph.input("gradient", "float32", ["P"]);
  const program = await engine.compile({
    name: "gradient-norm",
    inputs: { gradient },
    outputs: { squares: reduceSum(mul(gradient, gradient), [0]) },
  });
  const chunks = new FlatChunks();
  const squares = zeros("float32", [1]);
  return {
    release: () => program.release(),
    norm: async (gradients) => {
      let sum = 0;
      for (const piece of chunks.of(gradients)) {
        await program.run({ gradient: piece }, { squares });
        sum += squares.data[0]!;
      }
      return Math.sqrt(sum);
    },
  };
}

/** The factor that brings a gradient of this norm down to `maxNorm`, as `torch.nn.utils.clip_grad_norm_` computes it. */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
