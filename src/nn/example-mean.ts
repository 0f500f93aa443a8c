/** @file The mean of the rows of each example: attention whose scores are all equal, so that it packs and is cut into chunks as such. */
import type { Value } from "../graph/graph.ts";
import { zerosLike } from "../graph/ops/shapes/reduce-expand.ts";
import { stopGradient } from "../graph/ops/shapes/stop-gradient.ts";
import { sizeAt } from "../graph/shape.ts";
import type { Builder } from "./builder.ts";

/** Builds it from x [B, T, D], in the place of each row; D is divided by the number of heads. */
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
