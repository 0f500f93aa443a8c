/** @file GGUF rules for Granite: its factors, and state-space layers in the H models of Granite 4. */
import type { AttentionOptions } from "../../nn/builder.ts";
import {
  BIAS_SWITCHES,
  type DecoderRules,
  EXPERTS,
  NEIGHBOUR_ROWS,
  count,
  decoderGguf,
  flag,
  real,
} from "./decoder-gguf.ts";
import { KEY_HEADS, readKeyHeads, writeKeyHeads } from "./gguf-attending.ts";
import type { GgufChange, GgufRules, Table } from "./gguf-rules.ts";
import { MAMBA } from "./mamba-gguf.ts";
import type { RawConfig } from "./raw-config.ts";

const FACTORS = {
  embedding_scale: real("embedding_multiplier", 1),
  "attention.scale": real("attention_multiplier", 1),
  residual_scale: real("residual_multiplier", 1),
  logit_scale: real("logits_scaling", 1),
};

/** Whether attention rotates queries and keys: the meaning that readers give this setting. */
const ROTATES = { "rope.scaling.finetuned": flag("rotates", true) };

export const GRANITE_GGUF = decoderGguf({
  architecture: "granite",
  className: "GraniteForCausalLM",
  changes: NEIGHBOUR_ROWS,
  settings: { ...FACTORS, ...ROTATES },
  // llama.cpp's converter writes these for a Granite 4 without state-space layers.
  idle: [
    "expert_shared_feed_forward_length",
    "ssm.conv_kernel",
    "ssm.inner_size",
    "ssm.state_size",
    "ssm.group_count",
    "ssm.time_step_rank",
  ],
  // Granite's blocks rotate: for a file that says otherwise this setting makes the configuration be refused.
  complete: ({ rotates, ...config }) =>
    rotates === true ? config : { ...config, position_embedding_type: "nope" },
  switches: BIAS_SWITCHES,
});

/** Names of experts in folders. */
const GRANITE_EXPERTS = {
  names: {
    ffn_gate_inp: "block_sparse_moe.router",
    ffn_gate_exps: "block_sparse_moe.experts.*.gate_proj",
    ffn_up_exps: "block_sparse_moe.experts.*.up_proj",
    ffn_down_exps: "block_sparse_moe.experts.*.down_proj",
  },
  keys: { num_experts: "num_local_experts" },
} as const;

export const GRANITE_MOE_GGUF = decoderGguf({
  architecture: "granitemoe",
  className: "GraniteMoeForCausalLM",
  blockNames: { mlp: GRANITE_EXPERTS.names },
  changes: { ...NEIGHBOUR_ROWS, ...EXPERTS.changes },
  settings: { ...FACTORS, ...EXPERTS.settings },
  keys: GRANITE_EXPERTS.keys,
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

const NO_EXPERTS = { num_local_experts: 0 };

/** Granite 4 without state-space layers, in files of Granite's architecture. */
const GRANITE_DENSE_GGUF = decoderGguf({
  architecture: "granite",
  className: "GraniteMoeHybridForCausalLM",
  blockNames: { mlp: SHARED_MLP.names },
  changes: { ...NEIGHBOUR_ROWS, ...SHARED_MLP.changes },
  settings: FACTORS,
  fixed: { ...NO_EXPERTS, position_embedding_type: "rope" },
  complete: (config) => ({
    ...config,
    shared_intermediate_size: config["intermediate_size"],
    layer_types: Array.from({ length: Number(config["num_hidden_layers"]) }, () => TYPES.attention),
  }),
  values: ({ shared_intermediate_size: width }) => ({ intermediate_size: width }),
});

/** Whether a layer of a type has a state space instead of attention. */
export const isStateSpace = (type: string): boolean => type === "mamba" || type === "linear_attention";

/** Common rules of models with state-space layers, with or without experts. */
const HYBRID = {
  architecture: "granitehybrid",
  className: "GraniteMoeHybridForCausalLM",
  tensorsInBlock: MAMBA.tensors,
  settings: {
    ...FACTORS,
    ...KEY_HEADS,
    expert_shared_feed_forward_length: count("shared_intermediate_size", { sameAs: "intermediate_size" }),
    ...ROTATES,
    ...MAMBA.settings("inner_width"),
  },
  keys: GRANITE_EXPERTS.keys,
  fixed: { mamba_proj_bias: false },
  switches: { mamba_conv_bias: "ssm_conv1d.bias" },
  complete: ({ rotates, inner_width: inner, ...config }: RawConfig) => ({
    ...readKeyHeads(config, TYPES),
    position_embedding_type: rotates === true ? "rope" : "nope",
    mamba_expand: Number(inner) / Number(config["hidden_size"]),
  }),
  values: (settings: RawConfig, attention: readonly AttentionOptions[]) => {
    const c = settings as {
      readonly layer_types: readonly string[];
      readonly position_embedding_type?: string | null;
      readonly hidden_size: number;
      readonly shared_intermediate_size: number;
      readonly num_experts: number;
      readonly mamba_expand: number;
    };
    const attends = c.layer_types.map((type) => !isStateSpace(type));
    return {
      ...writeKeyHeads(attends, attention),
      rotates: c.position_embedding_type === "rope",
      inner_width: c.mamba_expand * c.hidden_size,
      ...(c.num_experts === 0 && { intermediate_size: c.shared_intermediate_size }),
      // Readers of such files need this; configurations may leave it out.
      mamba_n_groups: 1,
    };
  },
};

/** Names of the shared feed-forward part in files with experts. */
const SHARED_BESIDE_EXPERTS = {
  names: {
    ffn_gate_shexp: "shared_mlp.input_linear",
    ffn_up_shexp: "shared_mlp.input_linear",
    ffn_down_shexp: "shared_mlp.output_linear",
  },
  changes: { ffn_gate_shexp: "first-half", ffn_up_shexp: "second-half" },
} as const;

/** Makes rules for files whose feed-forward part has these modules. */
function hybridGguf(
  mlp: Table<string>,
  changes: Table<GgufChange>,
  more: Pick<DecoderRules, "settings" | "fixed" | "instead" | "withExperts">,
): GgufRules {
  return decoderGguf({
    ...HYBRID,
    ...more,
    blockNames: { mlp, stateSpace: MAMBA.names },
    changes: { ...NEIGHBOUR_ROWS, ...MAMBA.changes, ...changes },
    settings: { ...HYBRID.settings, ...more.settings },
    fixed: { ...HYBRID.fixed, ...more.fixed },
  });
}

const WITH_EXPERTS = {
  names: { ...GRANITE_EXPERTS.names, ...SHARED_BESIDE_EXPERTS.names },
  changes: { ...EXPERTS.changes, ...SHARED_BESIDE_EXPERTS.changes },
};
const HYBRID_EXPERTS_GGUF = hybridGguf(WITH_EXPERTS.names, WITH_EXPERTS.changes, {
  settings: EXPERTS.settings,
});

/** Models with state-space layers; those without these and without experts are in files of Granite's architecture. */
export const GRANITE_HYBRID_GGUF = hybridGguf(SHARED_MLP.names, SHARED_MLP.changes, {
  fixed: NO_EXPERTS,
  withExperts: HYBRID_EXPERTS_GGUF,
  instead: ({ layer_types: types, num_experts: numExperts }) => {
    if (Number(numExperts) > 0) return HYBRID_EXPERTS_GGUF;
    return (types as readonly string[]).some(isStateSpace) ? null : GRANITE_DENSE_GGUF;
  },
});
