/**
 * @file A layer after the blocks of an encoder, which projects each token, their mean, or the first token for the head of classes.
 *
 *   late: mean(gelu(W norm(x) + b))      mean: gelu(W mean(norm(x)) + b)      bos: gelu(W norm(x) + b)
 *
 * The head reads the first row of an example; with a mean all rows are equal.
 */
import { z } from "zod";
import { gelu } from "../../../graph/ops/pointwise/gelu.ts";
import { sizeAt } from "../../../graph/shape.ts";
import { exampleMean } from "../../../nn/example-mean.ts";
import type { Norm } from "../../../nn/norms.ts";
import type { Layer } from "../../family.ts";

/** What the head reads. */
export const POOLING = z.enum(["late", "mean", "bos"]);

/** Builds the layer from x [B, T, D]; the number of heads divides D. Names are whole paths. */
export function pooledLayer(
  pooling: z.output<typeof POOLING>,
  norm: Norm,
  names: { readonly norm: string; readonly dense: string },
  numHeads: number,
): Layer {
  return {
    build: (b, x) => {
      const normed = norm(b, names.norm, x);
      const read = pooling === "mean" ? exampleMean(b, normed, numHeads) : normed;
      const inner = gelu(b.linear(names.dense, read, sizeAt(x.shape, -1), { role: "other", bias: true }));
      return pooling === "late" ? exampleMean(b, inner, numHeads) : inner;
    },
  };
}
