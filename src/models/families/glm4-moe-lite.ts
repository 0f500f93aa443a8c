/**
 * @file GLM-4.7-Flash: the blocks of DeepSeek V3, with experts in the layers that its configuration names.
 *
 * Report: "GLM-4.5", arXiv:2508.06471, section 2.1; latent attention: arXiv:2405.04434, section 2.1.
 */
import { z } from "zod";
import { latentDecoder, withoutNextTokens } from "../blocks/latent-blocks.ts";
import type { Family } from "../family.ts";
import { parseConfig, unusable } from "../config/hf-config.ts";
import { LATENT_FIELDS, SIGMOID_FIELDS, latentRouter } from "../config/latent-config.ts";
import { DEEPSEEK_V3_GGUF } from "../config/latent-gguf.ts";

const size = z.int().positive();

const SCHEMA = z.object({
  ...LATENT_FIELDS,
  ...SIGMOID_FIELDS,
  num_key_value_heads: size.nullable().default(20),
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: size.default(202_752),
  q_lora_rank: size.nullable().default(768),
  qk_nope_head_dim: LATENT_FIELDS.qk_nope_head_dim.unwrap().default(192),
  v_head_dim: LATENT_FIELDS.v_head_dim.unwrap().default(256),
  num_experts_per_tok: size.default(4),
  moe_intermediate_size: size.default(1536),
  routed_scaling_factor: z.number().positive().default(1.8),
  mlp_layer_types: z.array(z.enum(["dense", "sparse"])).nullish(),
  // Lowest layers without experts, for files without a list of layers.
  first_k_dense_replace: z.literal(1).nullish(),
  partial_rotary_factor: z.literal(1).nullish(),
});

export const glm4MoeLite: Family = {
  modelType: "glm4_moe_lite",
  summary: "GLM-4.7-Flash: 30B-A3B",
  traits:
    "The blocks of DeepSeek V3: latent attention, and in all but the lowest layer experts of which a router chooses a few for each token, beside one that all tokens share. The layer that predicts a further token is skipped.",
  autoClasses: { "sequence-classification": null },
  inTransformersJs: false,
  gguf: DEEPSEEK_V3_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { mlp_layer_types: types, num_hidden_layers: numLayers } = c;
    if (types && types.length !== numLayers)
      throw unusable(raw, `mlp_layer_types has ${types.length} entries (expected ${numLayers})`);
    const definition = latentDecoder(raw, c, {
      neighbours: c.rope_interleave,
      router: latentRouter(raw, c),
      normalizes: c.norm_topk_prob,
      hasExperts: (layer) => (types ? types[layer] === "sparse" : layer > 0),
    });
    return withoutNextTokens(definition, c);
  },
};
