/**
 * @file A state-space layer of Mamba 2, instead of attention or beside it: a memory whose decay depends on the input.
 *
 *   [z | u | s] = Win h    [x | B | C] = silu(conv(u))    Δ = softplus(s + d)    g = -exp(A) ∘ Δ
 *   Wout norm((linear attention(C, B, Δ x, g) + D ∘ x) ∘ silu(z))    all heads share B and C, or those of each group do
 *   or Wout (norm(…) ∘ silu(z)), or without a norm
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
import { rmsNormOfParts } from "./norms.ts";
import { shortConv } from "./short-conv.ts";

export interface Mamba2Options {
  readonly numHeads: number;
  readonly headWidth: number;
  /** Groups of consecutive heads. The heads of a group share B and C, and each group is normalised separately. */
  readonly numGroups: number;
  /** Width of B and C of a group. */
  readonly stateWidth: number;
  /** Tokens that the convolution sees, at least 2. */
  readonly numTaps: number;
  /** Which parts have biases. */
  readonly bias: { readonly convolution: boolean; readonly input: boolean; readonly output: boolean };
  /** What is normalised: the gated output, or the output before the gate; null: nothing. */
  readonly normed: "gated" | "before-gate" | null;
  readonly epsilon: number;
  /** Factors of the projected z, x, B, C and s; absent: there are none. */
  readonly factors?: readonly [number, number, number, number, number];
}

/** Multiplies the parts of the input's projection by their factors. */
function scaleParts(fused: Value, widths: readonly number[], factors: Mamba2Options["factors"]): Value {
  if (!factors || factors.every((factor) => factor === 1)) return fused;
  const all = widths.flatMap((width, part) => Array.from({ length: width }, () => factors[part]!));
  return mul(fused, fused.graph.constant("float32", [all.length], Float32Array.from(all)));
}

/** Builds it from h [B, T, D]; names of modules begin with `prefix`. */
export function mamba2(b: Builder, h: Value, prefix: string, options: Mamba2Options): Value {
  const { numHeads: H, headWidth, numGroups: G, stateWidth, numTaps, bias, normed, epsilon } = options;
  const [width, N] = [H * headWidth, G * stateWidth];
  const linear = (name: string, x: Value, outFeatures: number, hasBias: boolean): Value =>
    b.linear(prefix + name, x, outFeatures, { role: "other", bias: hasBias });
  const projected = linear("in_proj", h, 2 * width + 2 * N + H, bias.input);
  const fused = scaleParts(projected, [width, width, N, N, H], options.factors);
  const [gate, unmixed, time] = split(fused, 2, [width, width + 2 * N, H]) as [Value, Value, Value];
  const mixed = silu(shortConv(b, `${prefix}conv1d`, unmixed, { numTaps, bias: bias.convolution }));
  const [x, key, query] = split(mixed, 2, [width, N, N]) as [Value, Value, Value];
  const perHead = (name: string): Value => alongRows(b.tensor(prefix + name, [H], "weight"), time);
  const step = softplus(add(time, perHead("dt_bias")));
  const decay = mul(neg(exp(perHead("A_log"))), step);
  const ofHeads = (value: Value): Value => repeatHeads(value, G, H / G);
  const values = [ofHeads(query), ofHeads(key), scaleHeads(x, step), decay] as const;
  const read = add(b.linearAttention(values), scaleHeads(x, perHead("D")));
  const norm = (value: Value): Value => rmsNormOfParts(epsilon, G)(b, `${prefix}norm`, value);
  const gated = mul(normed === "before-gate" ? norm(read) : read, silu(gate));
  return linear("out_proj", normed === "gated" ? norm(gated) : gated, sizeAt(h.shape, -1), bias.output);
}
