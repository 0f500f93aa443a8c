/**
 * @file xIELU, an activation with two trained numbers and two fixed ones:
 *
 *   y = βx + a₊ x²                        above zero,  a₊ = softplus(α₊)
 *   y = βx + a₋ (e^min(x, ε) - 1 - x)     below,       a₋ = β + softplus(α₋)
 *
 * Paper: "Deriving Activation Functions Using Integration", arXiv:2411.13010, section 3.
 */
import type { Value } from "../graph/graph.ts";
import { greater } from "../graph/ops/pointwise/compare.ts";
import { add, exp, mul, neg, softplus, sub } from "../graph/ops/pointwise/elementwise.ts";
import { maximum, relu } from "../graph/ops/pointwise/maximum.ts";
import { alongRows } from "./along-rows.ts";
import type { Builder } from "./builder.ts";

/** Names and shapes of its numbers in checkpoints. */
export const XIELU_TENSORS = { alpha_p: [1], alpha_n: [1], beta: [], eps: [] } as const;

/** Applies it element-wise to x [B, T, F]; names of its numbers begin with `prefix`. */
export function xielu(b: Builder, prefix: string, x: Value): Value {
  const trained = (name: "alpha_p" | "alpha_n"): Value =>
    softplus(alongRows(b.tensor(prefix + name, XIELU_TENSORS[name], "weight"), x));
  const kept = (name: "beta" | "eps"): Value => b.tensor(prefix + name, XIELU_TENSORS[name], "buffer");
  const beta = kept("beta");
  const positive = relu(x);
  const one = x.graph.scalar(1);
  const smaller = neg(maximum(neg(x), neg(kept("eps"))));
  const isBelow = sub(one, greater(x, x.graph.scalar(0)));
  const below = mul(isBelow, sub(sub(exp(smaller), one), x));
  const above = mul(trained("alpha_p"), mul(positive, positive));
  return add(mul(beta, x), add(above, mul(add(beta, trained("alpha_n")), below)));
}
