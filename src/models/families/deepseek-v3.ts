/**
 * @file The DeepSeek V3 family: the latent attention of V2, and a router that scores each expert independently and adds learned
 * biases to keep all experts busy.
 *
 * Paper: "DeepSeek-V3 Technical Report", arXiv:2412.19437, section 2.1.
 */
import { z } from "zod";
import { latentDecoder, withoutNextTokens } from "../blocks/latent-blocks.ts";
import type { Family } from "../family.ts";
import { parseConfig } from "../config/hf-config.ts";
import { LATENT_FIELDS, SIGMOID_FIELDS, latentRouter } from "../config/latent-config.ts";
import { DEEPSEEK_V3_GGUF } from "../config/latent-gguf.ts";

const size = z.int().positive();

const SCHEMA = z.object({
  ...LATENT_FIELDS,
  ...SIGMOID_FIELDS,
  max_position_embeddings: size.default(4096),
  n_routed_experts: size.default(256),
  num_experts_per_tok: size.default(8),
  moe_intermediate_size: size.default(2048),
  routed_scaling_factor: z.number().positive().default(2.5),
  n_group: size.default(8),
  topk_group: size.default(4),
  first_k_dense_replace: z.int().min(0).default(3),
});

export const deepseekV3: Family = {
  modelType: "deepseek_v3",
  summary: "DeepSeek V3, V3.1 and R1, Moonlight, and other models of the same form",
  traits:
    "The latent attention of DeepSeek V2; above the lowest layers a router chooses a few of many experts for each token, out of a few groups, by a probability of each on its own plus a learned bias that keeps their load even. Layers that predict further tokens are skipped. Adapters can sit on the router (`gate`) and on every expert.",
  gguf: DEEPSEEK_V3_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const definition = latentDecoder(raw, c, {
      neighbours: c.rope_interleave,
      router: latentRouter(raw, c),
      normalizes: c.norm_topk_prob,
      hasExperts: (layer) => layer >= c.first_k_dense_replace,
    });
    return withoutNextTokens(definition, c);
  },
};
