/**
 * @file The attention that the Qwen 3 families share: Llama's with a norm on each head of queries and keys.
 *
 * Paper: "Qwen3 Technical Report", arXiv:2505.09388, section 2.
 */
import { z } from "zod";
import { headNorm, rmsNorm } from "../../nn/norms.ts";
import { type SelfAttentionOptions, withHeadNorms } from "../../nn/self-attention.ts";
import { plainAttention } from "./decoder-blocks.ts";
import type { RawConfig } from "../family.ts";
import { DECODER_FIELDS, type DecoderFields } from "../config/hf-config.ts";
import { WINDOW_FIELDS } from "../config/window-config.ts";

/** Settings of the attention of Qwen 3, with experts or without. */
export const QWEN3_FIELDS = {
  ...DECODER_FIELDS,
  ...WINDOW_FIELDS,
  max_position_embeddings: z.int().positive().default(32_768),
  sliding_window: z.int().positive().nullable().default(4096),
  attention_bias: z.boolean().default(false),
};

/** The attention of Qwen 3. */
export function qwen3Attention(raw: RawConfig, c: DecoderFields): SelfAttentionOptions {
  const norm = rmsNorm(c.rms_norm_eps);
  return withHeadNorms(plainAttention(raw, c), headNorm(norm));
}
