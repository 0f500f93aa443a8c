/**
 * @file How SNELL makes a matrix sparse: the entries of smallest magnitude become exact zeros. No indices are stored.
 *
 *   soft:  ΔWˢ = ΔW ∘ max(|ΔW| - t, 0)   t = the ⌈s·N⌉-th smallest |ΔW| of N      arXiv:2411.01800, eq. 5 as printed
 *   hard-magnitude:  ΔW ∘ |ΔW| above t, the factor constant, t = the s-quantile    the published code
 *   hard:  ΔW above t       none:  ΔW       fixed:  ΔW where another matrix, the initial one, is above its own t
 *
 * The quantile lies between two entries, so that the ⌊s(N-1)⌋+1 smallest are dropped.
 */
import { knownShape, numElements } from "../../../graph/shape.ts";
import type { Value } from "../../../graph/graph.ts";
import { abs, mul, sub } from "../../../graph/ops/pointwise/elementwise.ts";
import { greater } from "../../../graph/ops/pointwise/compare.ts";
import { kthSmallest } from "../../../graph/ops/reductions/kth-smallest.ts";
import { maximum } from "../../../graph/ops/pointwise/maximum.ts";
import { scaleByExcess } from "../../../graph/ops/pointwise/scale-by-excess.ts";
import { stopGradient } from "../../../graph/ops/shapes/stop-gradient.ts";

export const SPARSIFIERS = ["soft", "hard-magnitude", "hard", "fixed", "none"] as const;

/** What `soft` differentiates beside ΔW: |ΔW| and t, only |ΔW|, or neither. */
export const THROUGH = ["threshold", "magnitude", "nothing"] as const;

/** How a matrix is made sparse. */
export interface Sparsity {
  readonly sparsify: (typeof SPARSIFIERS)[number];
  /** Share s of exact zeros, 0 ≤ s < 1. */
  readonly sparsity: number;
  readonly through: (typeof THROUGH)[number];
}

/** Compensates rounding errors in s·N: 0.7 · 10 is 7.000000000000001. */
const ROUNDING = 1e-9;

/** Returns how many of `count` entries become zero, if no two have the same magnitude. */
export function numZeros({ sparsify: mode, sparsity }: Sparsity, count: number): number {
  if (mode === "none") return 0;
  return mode === "hard-magnitude"
    ? Math.floor(sparsity * (count - 1) + ROUNDING) + 1
    : Math.ceil(sparsity * count - ROUNDING);
}

/**
 * Makes ΔW [out, in] of known sizes sparse; same shape. `judged`: the matrix whose magnitudes decide, which is ΔW in all modes
 * but `fixed`. `save` is given the threshold [], which is expensive to find.
 */
export function sparsify(
  delta: Value,
  judged: Value,
  options: Sparsity,
  save: (threshold: Value) => Value,
): Value {
  const { sparsify: mode, through } = options;
  const zeros = numZeros(options, numElements(knownShape(delta.shape)));
  const isPlain = mode === "hard" || mode === "fixed";
  if (mode === "none" || (isPlain && zeros === 0)) return delta;
  const hold = (value: Value, held: boolean): Value => (held ? stopGradient(value) : value);
  const size = abs(hold(judged, mode !== "soft" || through === "nothing"));
  const threshold = zeros === 0 ? delta.graph.scalar(0) : save(kthSmallest(size, zeros));
  if (isPlain) return mul(delta, greater(size, threshold));
  if (mode === "hard-magnitude") return mul(delta, mul(size, greater(size, threshold)));
  if (through !== "nothing") return scaleByExcess(delta, hold(threshold, through === "magnitude"));
  return mul(delta, maximum(sub(size, threshold), delta.graph.scalar(0)));
}
