/**
 * @file Convolutions over the last tokens of an example, and a gated one instead of attention.
 *
 *   conv(u)ₜ = Σⱼ wⱼ ∘ uₜ₋ⱼ + bias    each channel separately, over as many tokens as there are taps
 *   Wout (c ∘ conv(b ∘ x)),  [b | c | x] = Win h
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
  /** Tokens that an output depends on, at least 2. */
  readonly numTaps: number;
  /** Whether the convolution and both projections have biases. */
  readonly bias: boolean;
}

/** Convolves u [B, T, W], W even, by the taps of a tensor; as in files, the last tap is that of the token itself. */
export function shortConv(b: Builder, name: string, u: Value, { numTaps, bias }: ShortConvOptions): Value {
  const width = sizeAt(u.shape, -1);
  const weight = transpose(b.tensor(`${name}.weight`, [width, 1, numTaps], "weight"), [2, 1, 0]);
  const taps = split(
    weight,
    0,
    Array.from({ length: numTaps }, () => 1),
  ).toReversed();
  const terms = [u, ...b.earlier(u, numTaps - 1)].map((value, tap) => mul(value, taps[tap]!));
  const sum = terms.reduce((total, term) => add(total, term));
  return bias ? add(sum, alongRows(b.tensor(`${name}.bias`, [width], "bias"), sum)) : sum;
}

/** Builds the gated one from h [B, T, D]; names of modules begin with `prefix`. */
export function gatedShortConv(b: Builder, h: Value, prefix: string, options: ShortConvOptions): Value {
  const { bias } = options;
  const width = sizeAt(h.shape, -1);
  const fused = b.linear(`${prefix}in_proj`, h, 3 * width, { role: "other", bias });
  const [before, behind, x] = split(fused, 2, [width, width, width]);
  const mixed = shortConv(b, `${prefix}conv`, mul(before, x), options);
  return b.linear(`${prefix}out_proj`, mul(behind, mixed), width, { role: "other", bias });
}
