/**
 * @file The DeepSeek V2 family: latent attention, and in all but the lowest layers experts, some of which all tokens share.
 *
 * Paper: "DeepSeek-V2", arXiv:2405.04434, section 2.
 */
import { z } from "zod";
import { softmaxRouter } from "../../nn/routers.ts";
import { latentDecoder } from "../blocks/latent-blocks.ts";
import type { Family } from "../family.ts";
import { parseConfig } from "../config/hf-config.ts";
import { LATENT_FIELDS, expertGroups } from "../config/latent-config.ts";
import { DEEPSEEK_V2_GGUF } from "../config/latent-gguf.ts";

const SCHEMA = z.object({
  ...LATENT_FIELDS,
  n_shared_experts: z.int().positive().default(2),
  moe_intermediate_size: z.int().positive().default(1407),
  mlp_bias: z.boolean().default(false),
  first_k_dense_replace: z.int().min(0).default(0),
  topk_method: z.enum(["greedy", "group_limited_greedy"]).default("greedy"),
  scoring_func: z.literal("softmax").nullish(),
  norm_topk_prob: z.literal(false).nullish(),
});

export const deepseekV2: Family = {
  modelType: "deepseek_v2",
  summary: "DeepSeek V2 and V2.5, V2-Lite and DeepSeek-Coder V2",
  traits:
    "Latent attention: keys and values of all heads are made of a few numbers for each token, and all heads share the rotated part of each key. Above the lowest layers a router chooses a few of many experts for each token, in some models out of a few groups, beside experts that all tokens share. Adapters can sit on the router (`gate`) and on every expert. Keys and values are kept as heads, not as what they are made of.",
  inTransformersJs: false,
  gguf: DEEPSEEK_V2_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const groups = c.topk_method === "greedy" ? null : expertGroups(raw, c, 1);
    return latentDecoder(raw, c, {
      neighbours: true,
      router: softmaxRouter({ factor: c.routed_scaling_factor, groups }),
      normalizes: false,
      hasExperts: (layer) => layer >= c.first_k_dense_replace,
    });
  },
};
