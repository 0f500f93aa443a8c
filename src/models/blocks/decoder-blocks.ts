/**
 * @file The blocks of decoders and their parts: attention and a feed-forward part, each with norms before or after it.
 *
 *   x ← x + attention(norm(x))      x ← x + mlp(norm(x))
 */
import type { Value } from "../../graph/graph.ts";
import { silu } from "../../graph/ops/pointwise/silu.ts";
import { type MlpOptions, gatedMlp } from "../../nn/gated-mlp.ts";
import { type Norm, rmsNorm } from "../../nn/norms.ts";
import { plainMlp } from "../../nn/plain-mlp.ts";
import {
  type PlainAttention,
  type SelfAttentionOptions,
  fusedAttention,
  selfAttention,
} from "../../nn/self-attention.ts";
import type { Builder } from "../../nn/builder.ts";
import type { Layer, RawConfig } from "../family.ts";
import { activationOf } from "../config/activation-config.ts";
import { type DecoderFields, headSizes } from "../config/hf-config.ts";
import { readRope } from "../config/rope-config.ts";

/** A part of a block: from the residual stream to what is added to it. */
export type Transform = (b: Builder, x: Value) => Value;

/** Base of the rotation if a configuration has none. */
const DEFAULT_BASE = 10_000;

/** Causal attention over all keys, rotated, with biases if the configuration has them, and without norms. */
export function plainAttention(
  raw: RawConfig,
  c: DecoderFields & { readonly partial_rotary_factor?: number },
): PlainAttention {
  const { attention_bias: hasBias = false } = c;
  const sizes = headSizes(raw, c);
  return {
    ...sizes,
    scale: sizes.headWidth ** -0.5,
    rope: readRope(raw, sizes.headWidth, {
      theta: c.rope_theta ?? DEFAULT_BASE,
      maxPositions: c.max_position_embeddings,
      share: c.partial_rotary_factor,
    }),
    window: null,
    softcap: null,
    causal: true,
    bias: { qkv: hasBias, output: hasBias },
    queryNorm: null,
    keyNorm: null,
  };
}

/** Changes the rotation to neighbouring pairs. */
export function rotatingNeighbours({ rope, ...others }: SelfAttentionOptions): SelfAttentionOptions {
  return { ...others, rope: rope && { ...rope, neighbours: true } };
}

/** Changes the rotation to negative angles. */
export function rotatingBackwards({ rope, ...others }: SelfAttentionOptions): SelfAttentionOptions {
  return { ...others, rope: rope && { ...rope, backwards: true } };
}

/** A feed-forward part gated by SiLU, with biases if the configuration has them. */
export function siluMlp(c: DecoderFields): MlpOptions {
  return { intermediateSize: c.intermediate_size, activation: silu, bias: c.mlp_bias ?? false };
}

const PROJECTIONS = {
  prefix: "self_attn.",
  query: "q_proj",
  key: "k_proj",
  value: "v_proj",
  output: "o_proj",
};

/** The attention of a block with Llama's names of projections, or others. */
export const attentionPart =
  (options: SelfAttentionOptions, names: Partial<Parameters<typeof selfAttention>[2]> = {}): Transform =>
  (b, x) =>
    selfAttention(b, x, { ...PROJECTIONS, ...names }, options);

/** The feed-forward part of a block with Llama's names of projections. */
export const mlpPart =
  (options: MlpOptions): Transform =>
  (b, x) =>
    gatedMlp(b, x, "mlp.", options);

/** The attention of a block with one projection for queries, keys and values. */
export const fusedPart =
  (names: Parameters<typeof fusedAttention>[2], options: PlainAttention): Transform =>
  (b, x) =>
    fusedAttention(b, x, names, options);

/** A feed-forward part without a gate, with the width and activation of the configuration. */
export function plainMlpPart(
  names: Parameters<typeof plainMlp>[2],
  c: Pick<DecoderFields, "intermediate_size"> & { readonly hidden_act: Parameters<typeof activationOf>[0] },
  bias: boolean,
): Transform {
  const options = { intermediateSize: c.intermediate_size, activation: activationOf(c.hidden_act), bias };
  return (b, x) => plainMlp(b, x, names, options);
}

const PRE_NORMS = { attention: "input_layernorm", mlp: "post_attention_layernorm" };

/** Applies a norm to the output of a part. */
export const normed =
  (norm: Norm, name: string, part: Transform): Transform =>
  (b, x) =>
    norm(b, name, part(b, x));

/** A block of two successive branches: x + attention(x), then x + mlp(x). */
function branchBlock(attention: Transform, mlp: Transform): Layer {
  return {
    build: (b, x) => {
      const middle = b.branch("attention", x, (x) => attention(b, x));
      return b.branch("mlp", middle, (x) => mlp(b, x));
    },
  };
}

/** A block that normalises the input of each branch. */
export function preNormBlock(norm: Norm, attention: Transform, mlp: Transform, names = PRE_NORMS): Layer {
  return branchBlock(
    (b, x) => attention(b, norm(b, names.attention, x)),
    (b, x) => mlp(b, norm(b, names.mlp, x)),
  );
}

/** A block that normalises the output of each branch. */
export function postNormBlock(norm: Norm, attention: Transform, mlp: Transform): Layer {
  return branchBlock(
    normed(norm, "post_attention_layernorm", attention),
    normed(norm, "post_feedforward_layernorm", mlp),
  );
}

/** A block whose two branches read the same x, each through a norm of its own: x + attention(norm₁(x)) + mlp(norm₂(x)). */
export function parallelBlock(norm: Norm, attention: Transform, mlp: Transform): Layer {
  return {
    build: (b, x) => {
      const middle = b.branch("attention", x, () => attention(b, norm(b, PRE_NORMS.attention, x)));
      return b.branch("mlp", middle, () => mlp(b, norm(b, PRE_NORMS.mlp, x)));
    },
  };
}

/** A block whose two branches share one norm: x + attention(h) + mlp(h), h = norm(x). */
export function sharedNormBlock(norm: Norm, attention: Transform, mlp: Transform): Layer {
  return {
    build: (b, x) => {
      const normed = norm(b, PRE_NORMS.attention, x);
      const middle = b.branch("attention", x, () => attention(b, normed));
      return b.branch("mlp", middle, () => mlp(b, normed));
    },
  };
}

/** A block like Llama's: root-mean-square norms, the given attention, and a feed-forward part, by default one gated by SiLU. */
export function llamaBlock(
  c: DecoderFields,
  attention: SelfAttentionOptions,
  mlp: Transform = mlpPart(siluMlp(c)),
): Layer {
  return preNormBlock(rmsNorm(c.rms_norm_eps), attentionPart(attention), mlp);
}

/** Uses one layer for all blocks. */
export function repeat(
  layer: Layer,
  { num_hidden_layers: numLayers }: Pick<DecoderFields, "num_hidden_layers">,
): readonly Layer[] {
  return Array.from({ length: numLayers }, () => layer);
}
