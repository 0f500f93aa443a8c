/**
 * @file A gated delta net, instead of attention: a memory that each token partly clears and corrects.
 *
 *   [q | k | v] = silu(conv(Wqkv h))    b = sigmoid(Wb h)    g = -exp(A) ∘ softplus(Wa h + d)
 *   Wout (norm(o) ∘ silu(Wz h)),  o = delta rule(q / √D, k, v, g, b), q and k of length 1
 *
 * Paper: "Gated Delta Networks", arXiv:2412.06464, section 3.3.
 */
import type { Value } from "../graph/graph.ts";
import { add, exp, mul, neg, sigmoid, softplus } from "../graph/ops/pointwise/elementwise.ts";
import { silu } from "../graph/ops/pointwise/silu.ts";
import { split } from "../graph/ops/rows/split.ts";
import { sizeAt } from "../graph/shape.ts";
import { alongRows } from "./along-rows.ts";
import type { Builder } from "./builder.ts";
import { repeatHeads } from "./heads.ts";
import { headNorm, headsOfLength, rmsNorm } from "./norms.ts";
import { shortConv } from "./short-conv.ts";

interface GatedDeltaNetOptions {
  /** Heads of queries and keys, each shared by equally many consecutive heads of values. */
  readonly numKeyHeads: number;
  readonly numValueHeads: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  /** Tokens that the convolution sees, at least 2. */
  readonly numTaps: number;
  readonly epsilon: number;
}

/** Builds it from h [B, T, D]; names of modules begin with `prefix`. */
export function gatedDeltaNet(b: Builder, h: Value, prefix: string, options: GatedDeltaNetOptions): Value {
  const { numKeyHeads: K, numValueHeads: V, keyWidth, valueWidth, numTaps, epsilon } = options;
  const linear = (name: string, x: Value, width: number): Value =>
    b.linear(prefix + name, x, width, { role: "other" });
  const widths = [K * keyWidth, K * keyWidth, V * valueWidth];
  const fused = linear("in_proj_qkv", h, 2 * K * keyWidth + V * valueWidth);
  const mixed = silu(shortConv(b, `${prefix}conv1d`, fused, { numTaps, bias: false }));
  const [q, k, v] = split(mixed, 2, widths) as [Value, Value, Value];
  const z = linear("in_proj_z", h, V * valueWidth);
  const rate = sigmoid(linear("in_proj_b", h, V));
  const step = linear("in_proj_a", h, V);
  const perHead = (name: string): Value => alongRows(b.tensor(prefix + name, [V], "weight"), step);
  const decay = mul(neg(exp(perHead("A_log"))), softplus(add(step, perHead("dt_bias"))));
  const query = repeatHeads(headsOfLength(q, K, keyWidth ** -0.5), K, V / K);
  const key = repeatHeads(headsOfLength(k, K, 1), K, V / K);
  const read = b.linearAttention([query, key, v, decay, rate]);
  const normed = headNorm(rmsNorm(epsilon))(V)(b, `${prefix}norm`, read);
  return linear("out_proj", mul(normed, silu(z)), sizeAt(h.shape, -1));
}
