/**
 * @file The Qwen 2 family with experts: Qwen 2's attention, and in some or all layers experts, with one that all tokens share.
 *
 *   y = Σ_(e chosen) w_e expert_e(x) + sigmoid(Wg x) shared(x)
 *
 * Paper: "Qwen2 Technical Report", arXiv:2407.10671, section 2.2.2.
 */
import { z } from "zod";
import { expertsBesideShared } from "../../nn/experts.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, siluMlp } from "../blocks/decoder-blocks.ts";
import { peftTakesNoExperts } from "../config/checkpoint-rules.ts";
import type { Family } from "../family.ts";
import { SPARSE_FIELDS, readExperts, sparseLayers } from "../config/expert-config.ts";
import { EXPERTS, SHARED_EXPERT, count, decoderGguf } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(16),
  max_position_embeddings: z.int().positive().default(32_768),
  qkv_bias: z.boolean().default(true),
  num_experts: z.int().positive().default(60),
  num_experts_per_tok: z.int().positive().default(4),
  moe_intermediate_size: z.int().positive().default(1408),
  shared_expert_intermediate_size: z.int().positive().default(5632),
  ...SPARSE_FIELDS,
  // No model uses a window, even if its files name one.
  use_sliding_window: z.literal(false).nullish(),
  sliding_window: z.int().min(0).nullish(),
  max_window_layers: z.int().min(0).nullish(),
  layer_types: z.array(z.literal("full_attention")).nullish(),
});

export const qwen2Moe: Family = {
  modelType: "qwen2_moe",
  summary: "Qwen 1.5 and Qwen 2 with experts: A2.7B and 57B-A14B",
  traits:
    "The attention of Qwen 2; in all or some layers a router chooses a few of many experts for each token, and one more, scaled by a gate, is shared by all. Adapters can sit on the router (`gate`), on that gate and on every expert.",
  gguf: decoderGguf({
    architecture: "qwen2moe",
    className: "Qwen2MoeForCausalLM",
    blockNames: { mlp: { ...EXPERTS.names, ...SHARED_EXPERT.names } },
    changes: { ...EXPERTS.changes, ...SHARED_EXPERT.changes },
    settings: {
      ...EXPERTS.settings,
      expert_feed_forward_length: count("moe_intermediate_size"),
      expert_shared_feed_forward_length: count("shared_expert_intermediate_size", {
        sameAs: "intermediate_size",
      }),
    },
    // Readers of such files assume experts in every layer, with weights that are not normalized.
    fixed: { norm_topk_prob: false },
    switches: { qkv_bias: "attn_q.bias" },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const expert = { ...siluMlp(c), intermediateSize: c.moe_intermediate_size };
    const shared = { ...expert, intermediateSize: c.shared_expert_intermediate_size };
    const options = { ...readExperts(raw, c), normalizes: c.norm_topk_prob, expert };
    const attention = { ...plainAttention(raw, c), bias: { qkv: c.qkv_bias, output: false } };
    const withExperts = llamaBlock(c, attention, (b, x) =>
      expertsBesideShared(b, x, "mlp.", { ...options, shared }),
    );
    const layers = sparseLayers(c, { withExperts, dense: llamaBlock(c, attention) });
    const definition = plainDecoder(raw, c, layers);
    return { ...definition, checkpoint: { ...definition.checkpoint, peftTakes: peftTakesNoExperts } };
  },
};
