/** @file Self-attention with a projection each for queries, keys, values and output, and norms on queries and keys. */
import type { Value } from "../graph/graph.ts";
import type { AttentionOptions, Builder } from "./builder.ts";
import type { Norm } from "./norms.ts";

/** Attention over heads that divide a width, not rotated: positions are learned or there are none. */
export function unrotatedAttention(width: number, numHeads: number, causal: boolean): AttentionOptions {
  const headWidth = width / numHeads;
  const scale = headWidth ** -0.5;
  return {
    numHeads,
    numKeyValueHeads: numHeads,
    headWidth,
    scale,
    rope: null,
    window: null,
    softcap: null,
    causal,
  };
}

/** What makes one self-attention differ from another. */
export interface SelfAttentionOptions extends AttentionOptions {
  /** Which projections have one. */
  readonly bias: { readonly qkv: boolean; readonly output: boolean };
  /** Of projected queries and keys; null: none. */
  readonly queryNorm: Norm | null;
  readonly keyNorm: Norm | null;
}

/** Builds it from x [B, T, D]; projections `q_proj`, `k_proj`, `v_proj`, `o_proj` behind `prefix`. */
export function selfAttention(b: Builder, x: Value, prefix: string, options: SelfAttentionOptions): Value {
  const { bias, queryNorm, keyNorm, ...attention } = options;
  const { numHeads: H, numKeyValueHeads: K, headWidth: E } = attention;
  const q = b.linear(`${prefix}q_proj`, x, H * E, { role: "query", bias: bias.qkv });
  const k = b.linear(`${prefix}k_proj`, x, K * E, { role: "key", bias: bias.qkv });
  const v = b.linear(`${prefix}v_proj`, x, K * E, { role: "value", bias: bias.qkv });
  const normed = (norm: Norm | null, name: string, value: Value): Value =>
    norm ? norm(b, `${prefix}${name}`, value) : value;
  const attended = b.attend(normed(queryNorm, "q_norm", q), normed(keyNorm, "k_norm", k), v, attention);
  const width = x.shape.at(-1) as number;
  return b.linear(`${prefix}o_proj`, attended, width, { role: "attention-output", bias: bias.output });
}
