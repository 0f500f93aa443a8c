/** @file Settings of ERNIE 4.5, with or without experts. */
import { z } from "zod";
import { DECODER_FIELDS } from "./hf-config.ts";

export const ERNIE_FIELDS = {
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(131_072),
  tie_word_embeddings: z.boolean().default(true),
  rope_theta: z.number().positive().default(500_000),
  use_bias: z.boolean().default(false),
};
