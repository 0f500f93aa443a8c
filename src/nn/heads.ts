/** @file Operations on the heads of x [B, T, H·E]. */
import type { Value } from "../graph/graph.ts";
import { mul } from "../graph/ops/pointwise/elementwise.ts";
import { concat } from "../graph/ops/shapes/concat.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { dimsOf, sizeAt } from "../graph/shape.ts";

/** Repeats each head `times` times, copies side by side. */
export function repeatHeads(x: Value, numHeads: number, times: number): Value {
  if (times === 1) return x;
  const [B, T] = dimsOf(x.shape, 3);
  const width = sizeAt(x.shape, -1) / numHeads;
  const heads = reshape(x, [B, T, numHeads, width]);
  const copies = Array.from({ length: times }, () => heads);
  return reshape(concat(copies, 3), [B, T, numHeads * times * width]);
}

/** Multiplies each head by a factor of its own: `factors` [H], or [B, T, H] for each token. */
export function scaleHeads(x: Value, factors: Value): Value {
  const [B, T] = dimsOf(x.shape, 3);
  const numHeads = sizeAt(factors.shape, -1);
  const heads = reshape(x, [B, T, numHeads, sizeAt(x.shape, -1) / numHeads]);
  return reshape(mul(heads, reshape(factors, [...factors.shape, 1])), x.shape);
}
