/**
 * @file The Helium family: Llama's blocks with rotation in pairs of neighbours.
 *
 * Source: "Helium 1", Kyutai, 2025.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, repeat, rotatingNeighbours } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { BIAS_FIELDS, DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  ...BIAS_FIELDS,
  num_key_value_heads: z.int().positive().default(20),
  head_dim: z.int().positive().default(128),
  rms_norm_eps: z.number().positive().default(1e-8),
  max_position_embeddings: z.int().positive().default(4096),
  rope_theta: z.number().positive().default(100_000),
});

export const helium: Family = {
  modelType: "helium",
  summary: "Helium 1: 2B",
  traits: "Llama's blocks, in which neighbouring columns of a head are rotated together.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const bias = { qkv: c.attention_bias, output: false };
    const attention = { ...rotatingNeighbours(plainAttention(raw, c)), bias };
    return plainDecoder(raw, c, repeat(llamaBlock(c, attention), c));
  },
};
