/**
 * @file The text part of the Qwen 3.5 family with experts: blocks as without experts, but in every layer experts, with one that all
 * tokens share, as in Qwen 2 with experts (arXiv:2407.10671, section 2.2.2).
 */
import { z } from "zod";
import { expertsBesideShared } from "../../nn/experts.ts";
import { siluMlp } from "../blocks/decoder-blocks.ts";
import { QWEN3_5_FIELDS, qwen35Decoder } from "../blocks/qwen3-5.ts";
import { readExperts } from "../config/expert-config.ts";
import { parseConfig } from "../config/hf-config.ts";
import { QWEN3_5_MOE_GGUF } from "../config/qwen3-5-files.ts";
import type { Family } from "../family.ts";

const size = z.int().positive();

const SCHEMA = z.object({
  ...QWEN3_5_FIELDS,
  num_key_value_heads: size.default(2),
  /** For layers without experts; there are none. */
  intermediate_size: size.default(5632),
  num_experts: size.default(256),
  num_experts_per_tok: size.default(8),
  moe_intermediate_size: size.default(512),
  shared_expert_intermediate_size: size.default(512),
  norm_topk_prob: z.literal(true).nullish(),
  decoder_sparse_step: z.literal(1).nullish(),
});

export const qwen35MoeText: Family = {
  modelType: "qwen3_5_moe_text",
  summary: "The text part of Qwen 3.5 and 3.6 with experts, as a model of its own",
  traits:
    "The blocks of Qwen 3.5 without experts; in every layer a router chooses a few of many experts for each token, and one more, scaled by a gate, is shared by all. Adapters can sit on the router (`gate`), on that gate and on every expert.",
  autoClasses: { "sequence-classification": null },
  gguf: QWEN3_5_MOE_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const expert = { ...siluMlp(c), intermediateSize: c.moe_intermediate_size };
    const shared = { ...expert, intermediateSize: c.shared_expert_intermediate_size };
    const options = { ...readExperts(raw, c), normalizes: true, expert, shared };
    return qwen35Decoder(raw, c, (b, x) => expertsBesideShared(b, x, "mlp.", options));
  },
};
