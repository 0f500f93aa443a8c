/** @file A linear layer:  y = x Wᵀ + b.   x [..., in]  W [out, in], or kept as [in, out]  b [out]. */
import type { Value } from "../graph/graph.ts";
import { add } from "../graph/ops/pointwise/elementwise.ts";
import { matmul } from "../graph/ops/products/matmul.ts";

/** Projects the last axis by a weight [out, in]; `bias` null: the layer has none. */
export function linear(x: Value, weight: Value, bias: Value | null): Value {
  const y = matmul(x, weight, { transB: true });
  return bias ? add(y, bias) : y;
}
