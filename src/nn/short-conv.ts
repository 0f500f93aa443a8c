/**
 * @file A gated short convolution, in the place of attention:  Wout (c ∘ conv(b ∘ x)),  [b | c | x] = Win h.
 *
 *   conv(u)ₜ = Σⱼ wⱼ ∘ uₜ₋ⱼ + bias    each channel by itself, over so many tokens of an example as there are taps
 *
 * Report: "LFM2 Technical Report", arXiv:2511.23404, section 2.
 */
import type { Value } from "../graph/graph.ts";
import { add, mul } from "../graph/ops/pointwise/elementwise.ts";
import { split } from "../graph/ops/rows/split.ts";
import { transpose } from "../graph/ops/shapes/transpose.ts";
import { sizeAt } from "../graph/shape.ts";
import { alongRows } from "./along-rows.ts";
import type { Builder } from "./builder.ts";

interface ShortConvOptions {
  /** Tokens that an output is made of, at least 2. */
  readonly numTaps: number;
  /** Whether the convolution and both projections have biases. */
  readonly bias: boolean;
}

/** Builds it from h [B, T, D]; its modules are behind `prefix`. */
export function shortConv(b: Builder, h: Value, prefix: string, { numTaps, bias }: ShortConvOptions): Value {
  const width = sizeAt(h.shape, -1);
  const fused = b.linear(`${prefix}in_proj`, h, 3 * width, { role: "other", bias });
  const [before, behind, x] = split(fused, 2, [width, width, width]);
  const gated = mul(before, x);
  // As files have it: the last tap is of the token itself.
  const weight = transpose(b.tensor(`${prefix}conv.weight`, [width, 1, numTaps], "weight"), [2, 1, 0]);
  const taps = split(
    weight,
    0,
    Array.from({ length: numTaps }, () => 1),
  ).toReversed();
  const terms = [gated, ...b.earlier(gated, numTaps - 1)].map((value, tap) => mul(value, taps[tap]!));
  const sum = terms.reduce((total, term) => add(total, term));
  const mixed = bias ? add(sum, alongRows(b.tensor(`${prefix}conv.bias`, [width], "bias"), sum)) : sum;
  return b.linear(`${prefix}out_proj`, mul(behind, mixed), width, { role: "other", bias });
}
