/**
 * @file GGUF rules for latent attention and the experts of models that have it. Files describe it as attention with one key head, the
 * numbers that keys and values are projected from, and hold the projections to keys and values by heads, that of keys transposed.
 */
import {
  BLOCK_NAMES,
  EXPERT_GATING,
  type DecoderRules,
  EXPERTS,
  SHARED_EXPERTS,
  count,
  decoderGguf,
  flag,
  real,
} from "./decoder-gguf.ts";
import type { GgufRules } from "./gguf-rules.ts";
import type { LatentFields } from "./latent-config.ts";
import type { RawConfig } from "./raw-config.ts";

const ATTENTION = {
  attn_q: "self_attn.q_proj",
  attn_q_a: "self_attn.q_a_proj",
  attn_q_a_norm: "self_attn.q_a_layernorm",
  attn_q_b: "self_attn.q_b_proj",
  attn_kv_a_mqa: "self_attn.kv_a_proj_with_mqa",
  attn_kv_a_norm: "self_attn.kv_a_layernorm",
  attn_k_b: "self_attn.kv_b_proj",
  attn_v_b: "self_attn.kv_b_proj",
  attn_output: "self_attn.o_proj",
};
const MLP = { ...BLOCK_NAMES.mlp, ...EXPERTS.names, ...SHARED_EXPERTS };
const SETTINGS = {
  "attention.head_count_kv": count("latent_heads", 1),
  "attention.key_length": count("latent_key_width"),
  "attention.value_length": count("latent_value_width"),
  "attention.key_length_mla": count("qk_head_dim"),
  "attention.value_length_mla": count("v_head_dim"),
  "attention.q_lora_rank": count("q_lora_rank", "left-out"),
  "attention.kv_lora_rank": count("kv_lora_rank"),
  "rope.dimension_count": count("qk_rope_head_dim"),
  "rope.scaling.yarn_log_multiplier": real("yarn_multiplier", "left-out"),
  leading_dense_block_count: count("first_k_dense_replace", 0),
  expert_count: count("n_routed_experts"),
  expert_used_count: count("num_experts_per_tok"),
  expert_feed_forward_length: count("moe_intermediate_size"),
  expert_shared_count: count("n_shared_experts"),
  expert_weights_scale: real("routed_scaling_factor", 1),
  expert_weights_norm: flag("norm_topk_prob", false),
  expert_gating_func: count("gating", "left-out"),
  expert_group_count: count("n_group", 1),
  expert_group_used_count: count("topk_group", 1),
};

/** Files hold a tenth of YaRN's multiplier of the logarithm, for scores and tables alike, to six digits. */
const YARN_SHARE = 0.1;

/** Converts settings of a file to a configuration. */
function completed({
  latent_heads: _heads,
  latent_key_width: _keyWidth,
  latent_value_width: _valueWidth,
  gating: _gating,
  yarn_multiplier: multiplier,
  ...config
}: RawConfig): RawConfig {
  const { attention_factor: _attention, ...stretched } = (config["rope_scaling"] ?? {}) as RawConfig;
  const m = Number((Number(multiplier) / YARN_SHARE).toPrecision(6));
  return {
    ...config,
    // transformers has another default for some of these families, whatever the number of heads.
    num_key_value_heads: config["num_attention_heads"],
    q_lora_rank: config["q_lora_rank"] ?? null,
    qk_nope_head_dim: Number(config["qk_head_dim"]) - Number(config["qk_rope_head_dim"]),
    ...(multiplier !== undefined && { rope_scaling: { ...stretched, mscale: m, mscale_all_dim: m } }),
  };
}

/** Settings that files express differently from configurations. */
function renamed(c: LatentFields, gating: number): RawConfig {
  const { mscale_all_dim: m } = (c.rope_scaling ?? c.rope_parameters ?? {}) as RawConfig;
  return {
    latent_heads: 1,
    latent_key_width: c.kv_lora_rank + c.qk_rope_head_dim,
    latent_value_width: c.kv_lora_rank,
    qk_head_dim: c.qk_nope_head_dim + c.qk_rope_head_dim,
    gating,
    yarn_multiplier: typeof m === "number" ? YARN_SHARE * m : undefined,
  };
}

const COMMON = {
  architecture: "deepseek2",
  rotated: "told",
  hasYarnMultiplier: true,
  blocksBehind: "nextn_predict_layers",
  blockNames: { attention: ATTENTION, mlp: MLP },
  changes: { ...EXPERTS.changes, attn_k_b: "key-heads", attn_v_b: "value-heads" },
  settings: SETTINGS,
  switches: {},
  keyRows: ({ qk_nope_head_dim: rows }: RawConfig) => Number(rows),
} as const satisfies Partial<DecoderRules>;

/** Readers of such files have no biases. They rank groups by their two best experts, where V2 uses the best one. */
export const DEEPSEEK_V2_GGUF: GgufRules = decoderGguf({
  ...COMMON,
  className: "DeepseekV2ForCausalLM",
  fixed: { attention_bias: false, mlp_bias: false },
  complete: (config) => ({
    ...completed(config),
    topk_method: Number(config["n_group"]) > 1 ? "group_limited_greedy" : "greedy",
  }),
  values: (settings) => {
    const c = settings as LatentFields & { readonly topk_method: string };
    const groups = c.topk_method === "greedy" ? { n_group: 1, topk_group: 1 } : {};
    return { ...renamed(c, EXPERT_GATING.softmax), ...groups };
  },
});

/** Sizes of GLM-4.7-Flash, whose first files do not say how experts are chosen. */
const GLM = { blocks: [47, 48], vocabSize: 154_880 };

export const DEEPSEEK_V3_GGUF: GgufRules = decoderGguf({
  ...COMMON,
  className: "DeepseekV3ForCausalLM",
  toldBy: (setting) =>
    setting("expert_gating_func") === undefined
      ? GLM.blocks.includes(Number(setting("block_count"))) && Number(setting("vocab_size")) === GLM.vocabSize
      : Number(setting("expert_gating_func")) === EXPERT_GATING.sigmoid,
  tensorsInBlock: { "exp_probs_b.bias": "mlp.gate.e_score_correction_bias" },
  fixed: { attention_bias: false, rope_interleave: true, num_nextn_predict_layers: 0 },
  complete: completed,
  values: (settings) => {
    const c = settings as LatentFields & {
      readonly first_k_dense_replace?: number;
      readonly mlp_layer_types?: readonly string[] | null;
    };
    const numDense =
      c.mlp_layer_types?.findIndex((type) => type === "sparse") ?? c.first_k_dense_replace ?? 1;
    return {
      ...renamed(c, EXPERT_GATING.sigmoid),
      first_k_dense_replace: numDense < 0 ? c.num_hidden_layers : numDense,
    };
  },
});
