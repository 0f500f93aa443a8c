/**
 * @file Encoder blocks with norms before the branches, rotated heads and gated feed-forward parts, most of which see a window on
 * both sides; and a layer for the mean of an example.
 *
 *   x ← x + attention(norm(x))      x ← x + Wo (f(a) ∘ b), [a | b] = Wi norm(x)      the first block has no norm before attention
 *
 * Paper: "Smarter, Better, Faster, Longer", arXiv:2412.13663, section 2.1.
 */
import { z } from "zod";
import { exampleMean } from "../../nn/example-mean.ts";
import { fusedMlp } from "../../nn/gated-mlp.ts";
import type { Norm } from "../../nn/norms.ts";
import type { PlainAttention } from "../../nn/self-attention.ts";
import type { Layer, RawConfig } from "../family.ts";
import { ACTIVATION, activationOf } from "../config/activation-config.ts";
import { BIAS_FIELDS, DECODER_FIELDS } from "../config/hf-config.ts";
import { readRope } from "../config/rope-config.ts";
import { WINDOW_FIELDS, windowedLayers } from "../config/window-config.ts";
import { type Transform, fusedPart, plainAttention, preNormBlock } from "./decoder-blocks.ts";

export const LOCAL_ENCODER_FIELDS = {
  ...DECODER_FIELDS,
  ...BIAS_FIELDS,
  num_key_value_heads: z.null().optional(),
  rms_norm_eps: z.number().positive().default(1e-5),
  hidden_act: ACTIVATION.default("gelu"),
  max_position_embeddings: z.int().positive().default(8192),
  layer_types: WINDOW_FIELDS.layer_types,
  global_attn_every_n_layers: z.int().positive().default(3),
  local_attention: z.int().positive().default(128),
  global_rope_theta: z.number().positive().default(160_000),
  local_rope_theta: z.number().positive().default(10_000),
};
const FIELDS = z.object(LOCAL_ENCODER_FIELDS);

const NORMS = { attention: "attn_norm", mlp: "mlp_norm" };
const ATTENTION = { qkv: "attn.Wqkv", output: "attn.Wo" };
const MLP = { gateUp: "mlp.Wi", down: "mlp.Wo" };

type LocalFields = z.output<typeof FIELDS>;

/** What differs between the attention of an encoder and that of a decoder. */
interface LocalAttention {
  readonly causal: boolean;
  /** Tokens that a windowed layer sees on each side, including the token itself. */
  readonly window: number;
  readonly part: (options: PlainAttention) => Transform;
}

/** Blocks that see all tokens, or half of `local_attention` tokens on each side. @throws as `localBlocks` */
export function localEncoderBlocks(raw: RawConfig, c: LocalFields, norm: Norm): readonly Layer[] {
  return localBlocks(raw, c, norm, {
    causal: false,
    window: Math.floor(c.local_attention / 2) + 1,
    part: (options) => fusedPart(ATTENTION, options),
  });
}

/** Makes the blocks. @throws UsageError "usage/model" for kinds of layers or rotations that are not implemented */
export function localBlocks(
  raw: RawConfig,
  c: LocalFields,
  norm: Norm,
  { causal, window, part }: LocalAttention,
): readonly Layer[] {
  const { max_position_embeddings: maxPositions, intermediate_size: intermediateSize } = c;
  // Rotation differs between kinds of layers, so it is read for each kind.
  const plain = {
    ...plainAttention({ ...raw, rope_parameters: null, rope_scaling: null }, c),
    causal,
  };
  const attentionOf = (layerType: string, theta: number, window: number | null): PlainAttention => ({
    ...plain,
    rope: readRope(raw, plain.headWidth, { theta, maxPositions, layerType }),
    window,
  });
  const full = attentionOf("full_attention", c.global_rope_theta, null);
  const local = attentionOf("sliding_attention", c.local_rope_theta, window);
  const mlp = { intermediateSize, activation: activationOf(c.hidden_act), bias: c.mlp_bias };
  const block = (attention: PlainAttention, own: Norm): Layer =>
    preNormBlock(own, part(attention), (b, x) => fusedMlp(b, x, MLP, mlp), NORMS);
  const first: Norm = (b, name, x) => (name === NORMS.attention ? x : norm(b, name, x));
  const [fullBlock, localBlock] = [block(full, norm), block(local, norm)];
  const isLocal = windowedLayers(raw, c, (layer) => layer % c.global_attn_every_n_layers !== 0);
  return isLocal.map((has, layer) => {
    if (layer === 0) return block(has ? local : full, first);
    return has ? localBlock : fullBlock;
  });
}

/** A layer without branches that normalises rows and replaces each by the mean of its example. */
export function meanLayer(norm: Norm, name: string, numHeads: number): Layer {
  return { build: (b, x) => exampleMean(b, norm(b, name, x), numHeads) };
}
