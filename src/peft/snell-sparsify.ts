/**
 * @file How SNELL makes a matrix sparse: entries compete, those of small magnitude become exact zeros. No index is kept.
 *
 *   soft:  ΔWˢ = ΔW ∘ max(|ΔW| - t, 0)   t = the ⌈s·N⌉-th smallest |ΔW| of N      arXiv:2411.01800, eq. 5 as printed
 *   hard-magnitude:  ΔW ∘ |ΔW| above t, the factor constant, t = the s-quantile    the published code
 *   hard:  ΔW above t       none:  ΔW
 *
 * The quantile lies between two entries, so that the ⌊s(N-1)⌋+1 smallest are dropped.
 */
import type { Value } from "../graph/graph.ts";
import { abs } from "../graph/ops/abs.ts";
import { greater } from "../graph/ops/compare.ts";
import { kthSmallest } from "../graph/ops/kth-smallest.ts";
import { maximum } from "../graph/ops/maximum.ts";
import { mul } from "../graph/ops/mul.ts";
import { stopGradient } from "../graph/ops/stop-gradient.ts";
import { sub } from "../graph/ops/sub.ts";

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

/** Makes ΔW [out, in] of known sizes sparse; same shape. */
export function sparsify(delta: Value, { sparsify: mode, sparsity, through }: Sparsity): Value {
  if (mode === "none") return delta;
  const count = (delta.shape as number[]).reduce((product, n) => product * n, 1);
  const dropped = Math.ceil(sparsity * count - ROUNDING);
  if (mode === "soft") return soften(delta, dropped, through);
  const size = abs(stopGradient(delta));
  if (mode === "hard") return dropped === 0 ? delta : mul(delta, greater(size, kthSmallest(size, dropped)));
  const belowQuantile = Math.floor(sparsity * (count - 1) + ROUNDING) + 1;
  return mul(delta, mul(size, greater(size, kthSmallest(size, belowQuantile))));
}

function soften(delta: Value, dropped: number, through: Sparsity["through"]): Value {
  const size = abs(delta);
  const hold = (value: Value, held: boolean): Value => (held ? stopGradient(value) : value);
  if (dropped === 0) return mul(delta, hold(size, through === "nothing"));
  const threshold = hold(kthSmallest(size, dropped), through !== "threshold");
  const factor = maximum(sub(size, threshold), delta.graph.scalar(0));
  return mul(delta, hold(factor, through === "nothing"));
}
