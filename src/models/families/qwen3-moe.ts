/**
 * @file The Qwen 3 family with experts: the attention of Qwen 3, and experts in some or all layers.
 *
 * Paper: "Qwen3 Technical Report", arXiv:2505.09388, section 2.
 */
import { z } from "zod";
import { experts } from "../../nn/experts.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, siluMlp } from "../blocks/decoder-blocks.ts";
import type { Family, RawConfig } from "../family.ts";
import { SPARSE_FIELDS, readExperts, sparseLayers } from "../config/expert-config.ts";
import { BLOCK_NAMES, count, decoderGguf, EXPERTS } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";
import { QWEN3_FIELDS, qwen3Attention } from "../blocks/qwen3-attention.ts";

const SCHEMA = z.object({
  ...QWEN3_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(4),
  use_sliding_window: z.literal(false).nullish(),
  num_experts: z.int().positive().optional(),
  // The name in transformers 5.
  num_local_experts: z.int().positive().optional(),
  num_experts_per_tok: z.int().positive().default(8),
  moe_intermediate_size: z.int().positive(),
  ...SPARSE_FIELDS,
  // Settings of the code that trained Qwen3-Coder, the same for all these models.
  qkv_bias: z.literal(false).nullish(),
  use_qk_norm: z.literal(true).nullish(),
  shared_expert_intermediate_size: z.literal(0).nullish(),
});

function countExperts({ num_experts, num_local_experts }: RawConfig): number {
  return Number(num_experts ?? num_local_experts ?? 128);
}

export const qwen3Moe: Family = {
  modelType: "qwen3_moe",
  summary: "Qwen 3 with experts: 30B-A3B and models like it",
  traits:
    "The attention of Qwen 3 without experts; in all or some layers a router chooses a few of many experts for each token. Adapters can sit on the router (`gate`) and on every expert.",
  gguf: decoderGguf({
    architecture: "qwen3moe",
    className: "Qwen3MoeForCausalLM",
    blockNames: { headNorms: BLOCK_NAMES.headNorms, mlp: EXPERTS.names },
    changes: EXPERTS.changes,
    settings: { ...EXPERTS.settings, expert_feed_forward_length: count("moe_intermediate_size") },
    // Readers of such files assume experts in every layer, with weights that add up to 1.
    fixed: { norm_topk_prob: true },
    values: (settings) => ({ num_experts: countExperts(settings) }),
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const options = {
      ...readExperts(raw, { ...c, num_experts: countExperts(c) }),
      normalizes: c.norm_topk_prob,
      expert: { ...siluMlp(c), intermediateSize: c.moe_intermediate_size },
    };
    const attention = qwen3Attention(raw, c);
    const withExperts = llamaBlock(c, attention, (b, x) => experts(b, x, "mlp.", options));
    return plainDecoder(raw, c, sparseLayers(c, { withExperts, dense: llamaBlock(c, attention) }));
  },
};
