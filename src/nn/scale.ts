/** @file A value times a number. */
import type { Value } from "../graph/graph.ts";
import { mul } from "../graph/ops/pointwise/elementwise.ts";

/** Multiplies x by a factor; returns x itself if the factor is 1. */
export function scale(x: Value, factor: number): Value {
  return factor === 1 ? x : mul(x, x.graph.scalar(factor));
}
