/**
 * @file A state-space layer of Mamba 2, in the place of attention: a memory that forgets as fast as its input says.
 *
 *   [z | u | s] = Win h    [x | B | C] = silu(conv(u))    Δ = softplus(s + d)    g = -exp(A) ∘ Δ
 *   Wout norm((linear attention(C, B, Δ x, g) + D ∘ x) ∘ silu(z))    B and C are those of all heads
 *
 * Paper: "Transformers are SSMs", arXiv:2405.21060, sections 2.1 and 7.
 */
import type { Value } from "../graph/graph.ts";
import { add, exp, mul, neg, softplus } from "../graph/ops/pointwise/elementwise.ts";
import { silu } from "../graph/ops/pointwise/silu.ts";
import { split } from "../graph/ops/rows/split.ts";
import { sizeAt } from "../graph/shape.ts";
import { alongRows } from "./along-rows.ts";
import type { Builder } from "./builder.ts";
import { repeatHeads, scaleHeads } from "./heads.ts";
import { rmsNorm } from "./norms.ts";
import { shortConv } from "./short-conv.ts";

export interface Mamba2Options {
  readonly numHeads: number;
  readonly headWidth: number;
  /** Elements of B and C. */
  readonly stateWidth: number;
  /** Tokens that the convolution sees, at least 2. */
  readonly numTaps: number;
  /** Which parts have biases. */
  readonly bias: { readonly convolution: boolean; readonly projections: boolean };
  readonly epsilon: number;
}

/** Builds it from h [B, T, D]; its modules are behind `prefix`. */
export function mamba2(b: Builder, h: Value, prefix: string, options: Mamba2Options): Value {
  const { numHeads: H, headWidth, stateWidth: N, numTaps, bias, epsilon } = options;
  const width = H * headWidth;
  const linear = (name: string, x: Value, outFeatures: number): Value =>
    b.linear(prefix + name, x, outFeatures, { role: "other", bias: bias.projections });
  const fused = linear("in_proj", h, 2 * width + 2 * N + H);
  const [gate, unmixed, time] = split(fused, 2, [width, width + 2 * N, H]) as [Value, Value, Value];
  const mixed = silu(shortConv(b, `${prefix}conv1d`, unmixed, { numTaps, bias: bias.convolution }));
  const [x, key, query] = split(mixed, 2, [width, N, N]) as [Value, Value, Value];
  const perHead = (name: string): Value => alongRows(b.tensor(prefix + name, [H], "weight"), time);
  const step = softplus(add(time, perHead("dt_bias")));
  const decay = mul(neg(exp(perHead("A_log"))), step);
  const values = [repeatHeads(query, 1, H), repeatHeads(key, 1, H), scaleHeads(x, step), decay] as const;
  const read = add(b.linearAttention(values), scaleHeads(x, perHead("D")));
  const normed = rmsNorm(epsilon)(b, `${prefix}norm`, mul(read, silu(gate)));
  return linear("out_proj", normed, sizeAt(h.shape, -1));
}
