/** @file How files of MLX and GGUF differ for Qwen 3.5. In GGUF files heads of values that share a key head are not adjacent. */
import { BLOCK_NAMES, EXPERTS, SHARED_EXPERT, count, decoderGguf } from "./decoder-gguf.ts";
import { SECTIONS, writeSections } from "./image-places.ts";
import type { RawConfig } from "./raw-config.ts";

/** How MLX's files differ. */
export const QWEN3_5_MLX = {
  taps: /\.conv1d\.weight$/,
  plusOne: /((input|post_attention)_layernorm|^model\.norm|\.[qk]_norm)\.weight$/,
  split: null,
  pathOf: (path: string): string => path,
};

/** Sections for a configuration without them. */
const DEFAULT_SECTIONS = [11, 11, 10];

const NORM = "plus-one";

/** The settings that tell which layers have a delta net. */
type LayerKinds = {
  readonly layer_types?: readonly string[] | null | undefined;
  readonly full_attention_interval: number;
};

/** Whether a layer has a delta net instead of attention. */
export function hasDeltaNet(c: LayerKinds, layer: number): boolean {
  const { layer_types: types, full_attention_interval: interval } = c;
  return types ? types[layer] === "linear_attention" : (layer + 1) % interval !== 0;
}

/** Common rules for files with and without experts. */
const COMMON = {
  rotated: "first-columns",
  blocksBehind: "nextn_predict_layers",
  blockNames: {
    preNorms: { attn_norm: "input_layernorm", post_attention_norm: "post_attention_layernorm" },
    headNorms: BLOCK_NAMES.headNorms,
    deltaNet: {
      attn_qkv: "linear_attn.in_proj_qkv",
      attn_gate: "linear_attn.in_proj_z",
      ssm_alpha: "linear_attn.in_proj_a",
      ssm_beta: "linear_attn.in_proj_b",
      ssm_conv1d: "linear_attn.conv1d",
      ssm_norm: "linear_attn.norm",
      ssm_out: "linear_attn.out_proj",
    },
  },
  tensorsInBlock: { ssm_a: "linear_attn.A_log", "ssm_dt.bias": "linear_attn.dt_bias" },
  changes: {
    attn_norm: NORM,
    post_attention_norm: NORM,
    attn_q_norm: NORM,
    attn_k_norm: NORM,
    output_norm: NORM,
    attn_qkv: "last-value-rows",
    attn_gate: "value-rows",
    ssm_alpha: "value-rows",
    ssm_beta: "value-rows",
    ssm_out: "value-columns",
    ssm_a: "value-decay",
    "ssm_dt.bias": "value-rows",
    ssm_conv1d: "value-taps",
  },
  settings: {
    "ssm.conv_kernel": count("linear_conv_kernel_dim"),
    "ssm.state_size": count("linear_key_head_dim"),
    "ssm.group_count": count("linear_num_key_heads"),
    "ssm.time_step_rank": count("linear_num_value_heads"),
    "ssm.inner_size": count("values_width"),
    full_attention_interval: count("full_attention_interval", 4),
    "attention.recurrent_layers": { key: "recurrent_layers", type: "bools", absent: "left-out" },
    ...SECTIONS,
  },
  switches: {},
  valueHeads: (config: RawConfig) => {
    const [keys, values, width] = ["num_key_heads", "num_value_heads", "key_head_dim"].map((key) =>
      Number(config[`linear_${key}`]),
    ) as [number, number, number];
    return { numKeyHeads: keys, numHeads: values, rowsBefore: 2 * keys * width };
  },
  complete({ values_width: width, recurrent_layers: recurrent, sections: _sections, ...config }: RawConfig) {
    const layers = (recurrent as readonly boolean[] | undefined)?.slice(
      0,
      Number(config["num_hidden_layers"]),
    );
    return {
      ...config,
      linear_value_head_dim: Number(width) / Number(config["linear_num_value_heads"]),
      ...(layers && { layer_types: layers.map((is) => (is ? "linear_attention" : "full_attention")) }),
    };
  },
  values(settings: RawConfig) {
    const {
      linear_num_value_heads: numHeads,
      linear_value_head_dim: width,
      num_hidden_layers: numLayers,
    } = settings;
    return {
      values_width: Number(numHeads) * Number(width),
      recurrent_layers: Array.from({ length: Number(numLayers) }, (_, layer) =>
        hasDeltaNet(settings as unknown as LayerKinds, layer),
      ),
      ...writeSections(settings, DEFAULT_SECTIONS),
    };
  },
} as const;

export const QWEN3_5_GGUF = decoderGguf({
  ...COMMON,
  architecture: "qwen35",
  className: "Qwen3_5ForCausalLM",
});

export const QWEN3_5_MOE_GGUF = decoderGguf({
  ...COMMON,
  architecture: "qwen35moe",
  className: "Qwen3_5MoeForCausalLM",
  blockNames: { ...COMMON.blockNames, mlp: { ...EXPERTS.names, ...SHARED_EXPERT.names } },
  changes: { ...COMMON.changes, ...EXPERTS.changes, ...SHARED_EXPERT.changes },
  settings: {
    ...COMMON.settings,
    ...EXPERTS.settings,
    // Absent: every layer has experts.
    feed_forward_length: count("intermediate_size", "left-out"),
    expert_feed_forward_length: count("moe_intermediate_size"),
    expert_shared_feed_forward_length: count("shared_expert_intermediate_size"),
  },
  values: (settings) => ({ ...COMMON.values(settings), intermediate_size: undefined }),
});
