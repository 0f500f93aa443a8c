/** @file Settings of LFM2 in configuration files and GGUF files. */
import { z } from "zod";
import { MAX_TAPS } from "../../untrusted/limits.ts";
import type { AttentionOptions } from "../../nn/builder.ts";
import { EXPERTS, EXPERT_GATING, count, decoderGguf } from "./decoder-gguf.ts";
import { KEY_HEADS, readKeyHeads, writeKeyHeads } from "./gguf-attending.ts";
import { DECODER_NAMES } from "./decoder-names.ts";
import { DECODER_FIELDS } from "./hf-config.ts";
import type { RawConfig } from "./raw-config.ts";

const UNUSED = z.unknown().optional();

export const LFM2_FIELDS = {
  ...DECODER_FIELDS,
  intermediate_size: z.int().positive().default(12_288),
  num_key_value_heads: z.int().positive().default(8),
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(128_000),
  rope_theta: z.number().positive().default(1_000_000),
  tie_word_embeddings: z.boolean().default(true),
  /** The same; takes precedence if both are present. */
  tie_embedding: z.boolean().nullish(),
  conv_bias: z.boolean().default(false),
  conv_L_cache: z.int().min(2).max(MAX_TAPS).default(3),
  layer_types: z.array(z.enum(["full_attention", "conv"])).nullish(),
  full_attn_idxs: z.array(z.int().min(0)).nullish(),
  // Ignored: redundant sizes, which no program reads.
  block_dim: UNUSED,
  block_norm_eps: UNUSED,
  conv_dim: UNUSED,
  conv_dim_out: UNUSED,
  num_heads: UNUSED,
  theta: UNUSED,
};

/** Settings of models without experts. */
export const DENSE_FIELDS = {
  /** Takes precedence over `intermediate_size`. */
  block_ff_dim: z.int().positive().nullish(),
  block_auto_adjust_ff_dim: z.boolean().default(true),
  block_ffn_dim_multiplier: z.number().positive().default(1),
  block_multiple_of: z.int().positive().default(256),
  block_use_swiglu: z.literal(true).nullish(),
  use_pos_enc: z.literal(true).nullish(),
  // Ignored: how weights were initialised.
  block_mlp_init_scale: UNUSED,
  block_out_init_scale: UNUSED,
  block_use_xavier_init: UNUSED,
  conv_use_xavier_init: UNUSED,
};

/** Parsed settings of blocks, with or without experts. */
export type Lfm2Fields = z.output<z.ZodObject<typeof LFM2_FIELDS>>;
type DenseFields = Lfm2Fields & z.output<z.ZodObject<typeof DENSE_FIELDS>>;

/** Names of settings in its files that differ. */
export const LFM2_KEYS = { rms_norm_eps: "norm_eps" };

/** Its final norm is named after the embedding. */
export const LFM2_NAMES = { ...DECODER_NAMES, finalNorm: "model.embedding_norm" };

/** Computes the width of the feed-forward part: two thirds of the width in files, rounded up. */
export function feedForwardWidth(c: DenseFields): number {
  const given = c.block_ff_dim ?? c.intermediate_size;
  if (!c.block_auto_adjust_ff_dim) return given;
  const { block_ffn_dim_multiplier: factor, block_multiple_of: unit } = c;
  return unit * Math.ceil(Math.trunc(factor * Math.trunc((2 * given) / 3)) / unit);
}

/** Whether a layer has a convolution instead of attention. */
export function isConvolution(
  { layer_types: types, full_attn_idxs: attending }: Lfm2Fields,
  layer: number,
): boolean {
  return types ? types[layer] === "conv" : attending != null && !attending.includes(layer);
}

/** Modules of a block, except its feed-forward part. */
const BLOCK = {
  preNorms: { attn_norm: "operator_norm", ffn_norm: "ffn_norm" },
  attention: {
    attn_q: "self_attn.q_proj",
    attn_k: "self_attn.k_proj",
    attn_v: "self_attn.v_proj",
    attn_output: "self_attn.out_proj",
  },
  headNorms: { attn_q_norm: "self_attn.q_layernorm", attn_k_norm: "self_attn.k_layernorm" },
  convolution: {
    "shortconv.conv": "conv.conv",
    "shortconv.in_proj": "conv.in_proj",
    "shortconv.out_proj": "conv.out_proj",
  },
};
const MLP = { ffn_gate: "feed_forward.w1", ffn_up: "feed_forward.w3", ffn_down: "feed_forward.w2" };
const SETTINGS = { ...KEY_HEADS, "shortconv.l_cache": count("conv_L_cache") };

/** Types of layers with and without key heads. */
const TYPES = { attention: "full_attention", other: "conv" };
const headsOfLayers = (c: Lfm2Fields, attention: readonly AttentionOptions[]): RawConfig =>
  writeKeyHeads(
    Array.from({ length: c.num_hidden_layers }, (_, layer) => !isConvolution(c, layer)),
    attention,
  );

/** Common rules for files with and without experts. Readers have no biases. */
const COMMON = { names: LFM2_NAMES, finalNorm: "token_embd_norm", switches: {}, keys: LFM2_KEYS } as const;

export const LFM2_GGUF = decoderGguf({
  ...COMMON,
  architecture: "lfm2",
  className: "Lfm2ForCausalLM",
  blockNames: { ...BLOCK, mlp: MLP },
  changes: { "shortconv.conv": "taps" },
  settings: SETTINGS,
  // Readers need the actual width.
  fixed: { conv_bias: false, block_auto_adjust_ff_dim: false },
  complete: (config) => readKeyHeads(config, TYPES),
  values: (settings, attention) => ({
    ...headsOfLayers(settings as DenseFields, attention),
    intermediate_size: feedForwardWidth(settings as DenseFields),
  }),
});

export const LFM2_MOE_GGUF = decoderGguf({
  ...COMMON,
  architecture: "lfm2moe",
  className: "Lfm2MoeForCausalLM",
  blockNames: {
    ...BLOCK,
    mlp: {
      ...MLP,
      ffn_gate_inp: "feed_forward.gate",
      ffn_gate_exps: "feed_forward.experts.*.w1",
      ffn_up_exps: "feed_forward.experts.*.w3",
      ffn_down_exps: "feed_forward.experts.*.w2",
    },
  },
  tensorsInBlock: { "exp_probs_b.bias": "feed_forward.expert_bias" },
  changes: { "shortconv.conv": "taps", ...EXPERTS.changes },
  settings: {
    ...SETTINGS,
    ...EXPERTS.settings,
    expert_feed_forward_length: count("moe_intermediate_size"),
    leading_dense_block_count: count("num_dense_layers"),
    expert_gating_func: count("gating"),
  },
  fixed: { conv_bias: false, use_expert_bias: true, norm_topk_prob: true, routed_scaling_factor: 1 },
  // Other routing is not supported in these models: it leaves an unknown setting, which is refused.
  complete: ({ gating, ...config }) => ({
    ...readKeyHeads(config, TYPES),
    ...(gating === EXPERT_GATING.sigmoid ? {} : { expert_gating_func: gating }),
  }),
  values: (settings, attention) => ({
    ...headsOfLayers(settings as Lfm2Fields, attention),
    gating: EXPERT_GATING.sigmoid,
  }),
});
