/**
 * @file The mean of the rows of each example, computed as attention with equal scores, so that packing and chunking work as for
 * attention.
 */
import type { Value } from "../graph/graph.ts";
import { zerosLike } from "../graph/ops/shapes/reduce-expand.ts";
import { stopGradient } from "../graph/ops/shapes/stop-gradient.ts";
import { sizeAt } from "../graph/shape.ts";
import type { Builder } from "./builder.ts";

/** Replaces each row of x [B, T, D] by the mean of its example; `numHeads` must divide D. */
export function exampleMean(b: Builder, x: Value, numHeads: number): Value {
  const equal = stopGradient(zerosLike(x));
  return b.attend(equal, equal, x, {
    numHeads,
    numKeyValueHeads: numHeads,
    headWidth: sizeAt(x.shape, -1) / numHeads,
    scale: 1,
    softcap: null,
    window: null,
    rope: null,
    causal: false,
  });
}
