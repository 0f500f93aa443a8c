/** @file The length of all gradients together, and the factor that clips them. */
import { Graph } from "../graph/graph.ts";
import { mul } from "../graph/ops/elementwise.ts";
import { reduceSum } from "../graph/ops/reduce-expand.ts";
import type { Engine } from "../runtime/engine.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import { CHUNK_ELEMENTS, FlatChunks } from "../runtime/flat-chunks.ts";

/** Measures vectors. */
export interface GradientNorm {
  /**
   * The L2 norm of vectors laid behind one another, however they are cut; pieces are added in float64. Not a number when
   * an element is none.
   */
  norm(vectors: Iterable<Float32Array> | AsyncIterable<Float32Array>): Promise<number>;
  /** Frees the compiled program. */
  release(): Promise<void>;
}

/** Compiles the norm of vectors of any length. */
export async function createGradientNorm(engine: Engine): Promise<GradientNorm> {
  const graph = new Graph();
  const gradient = graph.input("gradient", "float32", ["P"]);
  const program = await engine.compile({
    name: "gradient-norm",
    inputs: { gradient },
    outputs: { squares: reduceSum(mul(gradient, gradient), [0]) },
  });
  const chunks = new FlatChunks();
  const piece = chunks.scratch("piece", CHUNK_ELEMENTS).data;
  const squares = zeros("float32", [1]);
  const squaresOf = async (gradient: HostTensor): Promise<number> => {
    await program.run({ gradient }, { squares });
    return squares.data[0]!;
  };
  return {
    release: () => program.release(),
    norm: async (vectors) => {
      let [sum, filled] = [0, 0];
      for await (const vector of vectors) {
        for (let start = 0; start < vector.length;) {
          const end = Math.min(vector.length, start + CHUNK_ELEMENTS - filled);
          const [part] = chunks.of(vector, start, end) as [HostTensor<"float32">];
          start = end;
          if (part.data.length === CHUNK_ELEMENTS) {
            sum += await squaresOf(part);
            continue;
          }
          // Pieces are those of the whole, so that the sum is rounded as if nothing were cut.
          piece.set(part.data, filled);
          filled += part.data.length;
          if (filled < CHUNK_ELEMENTS) continue;
          sum += await squaresOf(chunks.scratch("piece", filled));
          filled = 0;
        }
      }
      if (filled > 0) sum += await squaresOf(chunks.scratch("piece", filled));
      return Math.sqrt(sum);
    },
  };
}

/** The factor that brings a gradient of this norm down to `maxNorm`, as `torch.nn.utils.clip_grad_norm_` computes it. */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
