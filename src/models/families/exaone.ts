/**
 * @file The EXAONE family, versions 3 and 3.5: Llama's blocks with other names in files.
 *
 * Report: "EXAONE 3.5: Series of Large Language Models for Real-world Use Cases", arXiv:2412.04862, section 2.
 */
import { z } from "zod";
import { llamaBlock, plainAttention, repeat } from "../blocks/decoder-blocks.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import type { Family } from "../family.ts";
import { BIAS_SWITCHES, decoderGguf } from "../config/decoder-gguf.ts";
import { OTHERWISE_IN_MLX } from "../config/checkpoint-rules.ts";
import { EXAONE_KEYS, llamaConfig, nameInLlama } from "./exaone/files.ts";
import { BIAS_FIELDS, DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  ...BIAS_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(8),
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(4096),
  rope_theta: z.number().positive().default(500_000),
});

export const exaone: Family = {
  modelType: "exaone",
  summary: "EXAONE 3 and 3.5: 2.4B, 7.8B and 32B, EXAONE Deep",
  traits:
    "Llama's blocks. Modules have the names of Llama, which transformers 5 gives them; models are written as ones of Llama.",
  autoClasses: { "sequence-classification": null },
  gguf: decoderGguf({
    architecture: "exaone",
    className: "ExaoneForCausalLM",
    keys: EXAONE_KEYS,
    switches: BIAS_SWITCHES,
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, EXAONE_KEYS);
    const definition = plainDecoder(raw, c, repeat(llamaBlock(c, plainAttention(raw, c)), c));
    const { checkpoint } = definition;
    return {
      ...definition,
      checkpoint: {
        ...checkpoint,
        rename: (name) => checkpoint.rename(nameInLlama(name)),
        ownConfig: (config) => llamaConfig(config, c),
        mlx: OTHERWISE_IN_MLX,
      },
    };
  },
};
