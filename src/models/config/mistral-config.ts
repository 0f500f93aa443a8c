/** @file Settings of models similar to Mistral. */
import { z } from "zod";
import { DECODER_FIELDS } from "./hf-config.ts";

export const MISTRAL_FIELDS = {
  ...DECODER_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(8),
  max_position_embeddings: z.int().positive().default(131_072),
  sliding_window: z.int().positive().nullable().default(4096),
};
