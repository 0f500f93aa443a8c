/**
 * @file The Cohere family: two branches that read the same norm, queries and keys rotated in pairs of neighbours, and in large
 * models a norm on each head of both.
 *
 * Models: Command R and R+, Cohere, 2024; "Aya 23: Open Weight Releases to Further Multilingual Progress", arXiv:2405.15032.
 */
import { z } from "zod";
import { layerNormOfHeads } from "../../nn/norms.ts";
import { withHeadNorms } from "../../nn/self-attention.ts";
import { repeat } from "../blocks/decoder-blocks.ts";
import { COHERE_FIELDS, COHERE_KEYS, cohereAttention, cohereBlock, cohereDecoder } from "../blocks/cohere.ts";
import type { Family } from "../family.ts";
import { BLOCK_NAMES, LAYER_NORMS, decoderGguf, real, FIRST_NORM } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...COHERE_FIELDS,
  rope_theta: z.number().positive().default(500_000),
  use_qk_norm: z.boolean().default(false),
  // Positions that the model was trained on; `max_position_embeddings` is then a limit of early programs.
  model_max_length: z.int().positive().nullish(),
});

export const cohere: Family = {
  modelType: "cohere",
  summary: "Command R and R+, Aya 23 and Expanse",
  traits:
    "Layer norms without biases, attention and feed-forward part read the same norm, neighbouring columns of a head are rotated together, logits have a factor; with `use_qk_norm`, each head of queries and keys has a norm.",
  autoClasses: { "sequence-classification": null },
  gguf: decoderGguf({
    architecture: "command-r",
    className: "CohereForCausalLM",
    blockNames: { preNorms: FIRST_NORM, headNorms: BLOCK_NAMES.headNorms },
    settings: { logit_scale: real("logit_scale") },
    norms: LAYER_NORMS,
    keys: COHERE_KEYS,
    switches: { attention_bias: "attn_q.bias", use_qk_norm: "attn_q_norm.weight" },
  }),
  open: (raw) => {
    const { model_max_length: numTrained, ...parsed } = parseConfig(SCHEMA, raw, COHERE_KEYS);
    const plain = cohereAttention(raw, parsed);
    const attention = parsed.use_qk_norm
      ? withHeadNorms(plain, layerNormOfHeads(parsed.rms_norm_eps))
      : plain;
    const c = { ...parsed, max_position_embeddings: numTrained ?? parsed.max_position_embeddings };
    return cohereDecoder(raw, c, repeat(cohereBlock(c, attention), c));
  },
};
