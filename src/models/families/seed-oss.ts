/** @file The Seed-OSS family: Llama's blocks, with biases in the projections of queries, keys and values. */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, repeat } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { decoderGguf, FIRST_NORM } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(8),
  head_dim: z.int().positive().nullable().default(128),
  max_position_embeddings: z.int().positive().default(524_288),
  attention_bias: z.boolean().default(true),
  attention_out_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  // Like other dropouts, only for training the whole model.
  residual_dropout: z.number().nullish(),
});

export const seedOss: Family = {
  modelType: "seed_oss",
  summary: "Seed-OSS: 36B",
  traits: "Llama's blocks, with biases in the projections of queries, keys and values.",
  inTransformersJs: false,
  gguf: decoderGguf({
    architecture: "seed_oss",
    className: "SeedOssForCausalLM",
    blockNames: { preNorms: FIRST_NORM, postNorms: { post_attention_norm: "post_attention_layernorm" } },
    switches: { attention_bias: "attn_q.bias", attention_out_bias: "attn_output.bias" },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const bias = { qkv: c.attention_bias, output: c.attention_out_bias };
    return plainDecoder(raw, c, repeat(llamaBlock(c, { ...plainAttention(raw, c), bias }), c));
  },
};
