/** @file GGUF files of ERNIE 4.5 with experts. */
import { BLOCK_NAMES, EXPERTS, SHARED_EXPERTS, count, decoderGguf } from "../../config/decoder-gguf.ts";

/** Names of these settings in folders. */
export const ERNIE_MOE_KEYS = { num_experts: "moe_num_experts", num_experts_per_tok: "moe_k" };

/** The bias that a router adds to probabilities when it chooses experts; a name inside the feed-forward part. */
export const ROUTER_BIAS = "moe_statics.e_score_correction_bias";

export const ERNIE_MOE_GGUF = decoderGguf({
  architecture: "ernie4_5-moe",
  className: "Ernie4_5_MoeForCausalLM",
  blockNames: {
    mlp: { ...BLOCK_NAMES.mlp, ...EXPERTS.names, ...SHARED_EXPERTS },
  },
  tensorsInBlock: { "exp_probs_b.bias": `mlp.${ROUTER_BIAS}` },
  changes: { ...EXPERTS.changes, "exp_probs_b.bias": "one-row" },
  settings: {
    ...EXPERTS.settings,
    expert_feed_forward_length: count("moe_intermediate_size"),
    expert_shared_count: count("moe_num_shared_experts", 0),
    expert_shared_feed_forward_length: count("shared_width", "left-out"),
    leading_dense_block_count: count("moe_layer_start_index", 0),
    interleave_moe_layer_step: count("moe_layer_interval"),
  },
  keys: ERNIE_MOE_KEYS,
  // Readers have no biases, and no setting for the last layer with experts.
  fixed: { use_bias: false, moe_layer_end_index: -1 },
  switches: {},
  complete: ({ shared_width: width, ...config }) => ({
    ...config,
    // Files have the width of all shared experts, not their number.
    ...(width !== undefined && {
      moe_num_shared_experts: Number(width) / Number(config["moe_intermediate_size"]),
    }),
  }),
  values: ({ moe_intermediate_size: width, moe_num_shared_experts: numShared }) => ({
    shared_width: Number(width) * Number(numShared),
  }),
});
