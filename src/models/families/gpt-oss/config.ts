/** @file Configurations of gpt-oss, and how its GGUF files differ from its folders. */
import { z } from "zod";
import { EXPERTS, FIRST_NORM, count, decoderGguf } from "../../config/decoder-gguf.ts";
import { LAYER_WINDOWS } from "../../config/gguf-windows.ts";
import { DECODER_FIELDS } from "../../config/hf-config.ts";
import type { RawConfig } from "../../config/raw-config.ts";
import { WINDOW_FIELDS } from "../../config/window-config.ts";

export const GPT_OSS_FIELDS = {
  ...DECODER_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(8),
  head_dim: z.int().positive().nullable().default(64),
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(131_072),
  rope_theta: z.number().positive().default(150_000),
  attention_bias: z.boolean().default(true),
  sliding_window: z.int().positive().default(128),
  layer_types: WINDOW_FIELDS.layer_types,
  num_experts: z.int().positive().default(128),
  num_experts_per_tok: z.int().positive().default(4),
  swiglu_alpha: z.number().default(1.702),
  swiglu_limit: z.number().positive().default(7),
  // Settings of the code that trained the models, for which there are other keys.
  experts_per_token: z.int().nullish(),
  initial_context_length: z.int().nullish(),
};

/** Names of these settings in files. */
export const GPT_OSS_KEYS = { num_experts: "num_local_experts" };

/** The name of the heads' sinks inside a block. */
export const SINKS = "self_attn.sinks";

/** The default rotation. */
const ROTATION = {
  rope_type: "yarn",
  factor: 32,
  beta_fast: 32,
  beta_slow: 1,
  truncate: false,
  original_max_position_embeddings: 4096,
};

/** Adds the default rotation to a configuration without one. */
export const withRotation = (raw: RawConfig): RawConfig =>
  raw["rope_parameters"] == null && raw["rope_scaling"] == null ? { ...raw, rope_scaling: ROTATION } : raw;

export const GPT_OSS_GGUF = decoderGguf({
  architecture: "gpt-oss",
  className: "GptOssForCausalLM",
  blockNames: {
    preNorms: FIRST_NORM,
    postNorms: { post_attention_norm: "post_attention_layernorm" },
    mlp: {
      ffn_gate_inp: "mlp.router",
      ffn_gate_exps: "mlp.experts.*.gate_up_proj",
      ffn_up_exps: "mlp.experts.*.gate_up_proj",
      ffn_down_exps: "mlp.experts.*.down_proj",
    },
  },
  tensorsInBlock: { "attn_sinks.weight": SINKS },
  changes: {
    ffn_gate_exps: "stacked-even-rows",
    ffn_up_exps: "stacked-odd-rows",
    ffn_down_exps: "stacked",
  },
  settings: {
    ...EXPERTS.settings,
    ...LAYER_WINDOWS.settings,
    "attention.sliding_window": count("sliding_window"),
    expert_feed_forward_length: count("intermediate_size", { sameAs: "intermediate_size" }),
  },
  keys: GPT_OSS_KEYS,
  values: LAYER_WINDOWS.values,
  // There is no setting for the fractional bounds of a stretched rotation that all published models have.
  complete: ({ rope_scaling: scaling, ...config }) => ({
    ...LAYER_WINDOWS.complete(config),
    rope_scaling: scaling ? { ...(scaling as RawConfig), truncate: false } : { rope_type: "default" },
  }),
});
