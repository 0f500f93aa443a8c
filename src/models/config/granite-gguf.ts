/** @file What GGUF files say of Granite: its factors, and in the H models of Granite 4 state-space layers. */
import { BIAS_SWITCHES, NEIGHBOUR_ROWS, count, decoderGguf, flag, real } from "./decoder-gguf.ts";
import { KEY_HEADS, readKeyHeads, writeKeyHeads } from "./gguf-attending.ts";

const FACTORS = {
  embedding_scale: real("embedding_multiplier", 1),
  "attention.scale": real("attention_multiplier", 1),
  residual_scale: real("residual_multiplier", 1),
  logit_scale: real("logits_scaling", 1),
};

/** Whether attention rotates queries and keys, as readers of such files take the setting. */
const ROTATES = { "rope.scaling.finetuned": flag("rotates", true) };

export const GRANITE_GGUF = decoderGguf({
  architecture: "granite",
  className: "GraniteForCausalLM",
  changes: NEIGHBOUR_ROWS,
  settings: { ...FACTORS, ...ROTATES },
  // llama.cpp's converter writes them of a Granite 4 without state-space layers.
  idle: [
    "expert_shared_feed_forward_length",
    "ssm.conv_kernel",
    "ssm.inner_size",
    "ssm.state_size",
    "ssm.group_count",
    "ssm.time_step_rank",
  ],
  // Blocks of Granite rotate: a file that says otherwise is refused by the setting that would say so.
  complete: ({ rotates, ...config }) =>
    rotates === true ? config : { ...config, position_embedding_type: "nope" },
  switches: BIAS_SWITCHES,
});

const TYPES = { attention: "attention", other: "mamba" };

/** One projection for gate and up. */
const SHARED_MLP = {
  names: {
    ffn_gate: "shared_mlp.input_linear",
    ffn_up: "shared_mlp.input_linear",
    ffn_down: "shared_mlp.output_linear",
  },
  changes: { ffn_gate: "first-half", ffn_up: "second-half" },
} as const;

/** Granite 4 without state-space layers, as Granite's. */
const GRANITE_DENSE_GGUF = decoderGguf({
  architecture: "granite",
  className: "GraniteMoeHybridForCausalLM",
  blockNames: { mlp: SHARED_MLP.names },
  changes: { ...NEIGHBOUR_ROWS, ...SHARED_MLP.changes },
  settings: FACTORS,
  fixed: { num_local_experts: 0, position_embedding_type: "rope" },
  complete: (config) => ({
    ...config,
    shared_intermediate_size: config["intermediate_size"],
    layer_types: Array.from({ length: Number(config["num_hidden_layers"]) }, () => TYPES.attention),
  }),
  values: ({ shared_intermediate_size: width }) => ({ intermediate_size: width }),
});

/** Whether a layer of a type has a state space in the place of attention. */
export const isStateSpace = (type: string): boolean => type === "mamba" || type === "linear_attention";

/** Those with state-space layers; files of the others are Granite's. */
export const GRANITE_HYBRID_GGUF = decoderGguf({
  architecture: "granitehybrid",
  className: "GraniteMoeHybridForCausalLM",
  blockNames: {
    mlp: SHARED_MLP.names,
    stateSpace: {
      ssm_in: "mamba.in_proj",
      ssm_conv1d: "mamba.conv1d",
      ssm_norm: "mamba.norm",
      ssm_out: "mamba.out_proj",
    },
  },
  tensorsInBlock: { ssm_a: "mamba.A_log", ssm_d: "mamba.D", "ssm_dt.bias": "mamba.dt_bias" },
  changes: {
    ...NEIGHBOUR_ROWS,
    ...SHARED_MLP.changes,
    ssm_conv1d: "taps",
    ssm_norm: "as-row",
    ssm_a: "decay-column",
    ssm_d: "as-column",
  },
  settings: {
    ...FACTORS,
    ...KEY_HEADS,
    expert_shared_feed_forward_length: count("shared_intermediate_size", { sameAs: "intermediate_size" }),
    ...ROTATES,
    "ssm.conv_kernel": count("mamba_d_conv"),
    "ssm.inner_size": count("inner_width"),
    "ssm.state_size": count("mamba_d_state"),
    "ssm.group_count": count("mamba_n_groups", 1),
    "ssm.time_step_rank": count("mamba_n_heads"),
  },
  fixed: { num_local_experts: 0, mamba_proj_bias: false },
  switches: { mamba_conv_bias: "ssm_conv1d.bias" },
  instead: ({ layer_types: types }) =>
    (types as readonly string[]).some(isStateSpace) ? null : GRANITE_DENSE_GGUF,
  complete: ({ rotates, inner_width: inner, ...config }) => ({
    ...readKeyHeads(config, TYPES),
    position_embedding_type: rotates === true ? "rope" : "nope",
    mamba_expand: Number(inner) / Number(config["hidden_size"]),
  }),
  values: (settings, attention) => {
    const c = settings as {
      readonly layer_types: readonly string[];
      readonly position_embedding_type?: string | null;
      readonly hidden_size: number;
      readonly shared_intermediate_size: number;
      readonly mamba_expand: number;
    };
    const attends = c.layer_types.map((type) => !isStateSpace(type));
    return {
      ...writeKeyHeads(attends, attention),
      rotates: c.position_embedding_type === "rope",
      inner_width: c.mamba_expand * c.hidden_size,
      intermediate_size: c.shared_intermediate_size,
      // Readers of such files ask for it, configurations may leave it out.
      mamba_n_groups: 1,
    };
  },
});
