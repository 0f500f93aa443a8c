/**
 * @file The OLMoE family: experts in every layer, and norms on all heads of queries and keys together.
 *
 * Paper: "OLMoE: Open Mixture-of-Experts Language Models", arXiv:2409.02060, section 2.
 */
import { z } from "zod";
import { experts } from "../../nn/experts.ts";
import { rmsNorm } from "../../nn/norms.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, repeat, siluMlp } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { readExperts } from "../config/expert-config.ts";
import { BLOCK_NAMES, decoderGguf, EXPERTS } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  max_position_embeddings: z.int().positive().default(4096),
  rms_norm_eps: z.number().positive().default(1e-5),
  attention_bias: z.boolean().default(false),
  clip_qkv: z.null().optional(),
  num_experts: z.int().positive().default(64),
  num_experts_per_tok: z.int().positive().default(8),
  norm_topk_prob: z.boolean().default(false),
});

export const olmoe: Family = {
  modelType: "olmoe",
  summary: "OLMoE",
  traits:
    "Experts in every layer, a router that chooses a few for each token, norms on all queries and all keys together. Adapters can sit on the router (`gate`) and on every expert.",
  autoClasses: { "sequence-classification": null },
  inTransformersJs: false,
  gguf: decoderGguf({
    architecture: "olmoe",
    className: "OlmoeForCausalLM",
    blockNames: { headNorms: BLOCK_NAMES.headNorms, mlp: EXPERTS.names },
    changes: EXPERTS.changes,
    settings: EXPERTS.settings,
    fixed: { norm_topk_prob: false },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const norm = rmsNorm(c.rms_norm_eps);
    const options = { ...readExperts(raw, c), normalizes: c.norm_topk_prob, expert: siluMlp(c) };
    const attention = { ...plainAttention(raw, c), queryNorm: norm, keyNorm: norm };
    const layer = llamaBlock(c, attention, (b, x) => experts(b, x, "mlp.", options));
    return plainDecoder(raw, c, repeat(layer, c));
  },
};
