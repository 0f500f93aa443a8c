/**
 * @file How SNELL makes a matrix sparse: entries compete, those of small magnitude become exact zeros. No index is kept.
 *
 *   soft:  ΔWˢ = ΔW ∘ max(|ΔW| - t, 0)   t = the ⌈s·N⌉-th smallest |ΔW| of N      arXiv:2411.01800, eq. 5 as printed
 *   hard-magnitude:  ΔW ∘ |ΔW| above t, the factor constant, t = the s-quantile    the published code
 *   hard:  ΔW above t       none:  ΔW
 *
 * The quantile lies between two entries, so that the ⌊s(N-1)⌋+1 smallest are dropped.
 */
import { numElements } from "../../graph/shape.ts";
import type { Value } from "../../graph/graph.ts";
import { abs, mul, sub } from "../../graph/ops/elementwise.ts";
import { greater } from "../../graph/ops/compare.ts";
import { kthSmallest } from "../../graph/ops/kth-smallest.ts";
import { maximum } from "../../graph/ops/maximum.ts";
import { softThreshold } from "../../graph/ops/soft-threshold.ts";
import { stopGradient } from "../../graph/ops/stop-gradient.ts";

export const SPARSIFIERS = ["soft", "hard-magnitude", "hard", "none"] as const;

/** What `soft` differentiates: all of it, |ΔW| but not t, or neither. */
export const THROUGH = ["threshold", "magnitude", "nothing"] as const;

/** How a matrix is made sparse. */
export interface Sparsity {
  readonly sparsify: (typeof SPARSIFIERS)[number];
  /** Share s of exact zeros, 0 ≤ s < 1. */
  readonly sparsity: number;
  readonly through: (typeof THROUGH)[number];
}

/** Takes the rounding out of s·N: 0.7 · 10 is 7.000000000000001. */
const ROUNDING = 1e-9;

/** Makes ΔW [out, in] of known sizes sparse; same shape. `save` is given the threshold [], which takes long to find. */
export function sparsify(
  delta: Value,
  { sparsify: mode, sparsity, through }: Sparsity,
  save: (threshold: Value) => Value = (threshold) => threshold,
): Value {
  if (mode === "none") return delta;
  const count = numElements(delta.shape as number[]);
  const dropped = Math.ceil(sparsity * count - ROUNDING);
  const hold = (value: Value, held: boolean): Value => (held ? stopGradient(value) : value);
  const size = abs(hold(delta, mode !== "soft" || through === "nothing"));
  const threshold = (k: number): Value => (k === 0 ? delta.graph.scalar(0) : save(kthSmallest(size, k)));
  if (mode === "hard") return dropped === 0 ? delta : mul(delta, greater(size, threshold(dropped)));
  if (mode === "hard-magnitude") {
    const belowQuantile = Math.floor(sparsity * (count - 1) + ROUNDING) + 1;
    return mul(delta, mul(size, greater(size, threshold(belowQuantile))));
  }
  if (through !== "nothing") return softThreshold(delta, hold(threshold(dropped), through === "magnitude"));
  return mul(delta, maximum(sub(size, threshold(dropped)), delta.graph.scalar(0)));
}
