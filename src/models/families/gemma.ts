/**
 * @file The first Gemma family: Llama's blocks with norms by 1 + w, a feed-forward part gated by GELU, heads of any width and a
 * scaled embedding.
 *
 * Paper: "Gemma: Open Models Based on Gemini Research and Technology", arXiv:2403.08295, section 2.
 */
import { z } from "zod";
import { rmsNormPlusOne } from "../../nn/norms.ts";
import { gemmaEnds, gemmaMlp } from "../blocks/gemma.ts";
import { decoder } from "../blocks/decoder.ts";
import { attentionPart, plainAttention, preNormBlock, repeat } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { decoderGguf } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  tie_word_embeddings: z.boolean().default(true),
  num_key_value_heads: z.int().positive().nullable().default(16),
  max_position_embeddings: z.int().positive().default(8192),
  head_dim: z.int().positive().default(256),
  attention_bias: z.boolean().default(false),
  // The first files have "gelu" for its approximation by tanh; later ones name that in `hidden_activation`.
  hidden_act: z.enum(["gelu", "gelu_pytorch_tanh"]).nullable().default("gelu_pytorch_tanh"),
  hidden_activation: z.literal("gelu_pytorch_tanh").nullish(),
  use_bidirectional_attention: z.literal(false).nullish(),
});

export const gemma: Family = {
  modelType: "gemma",
  summary: "Gemma 1 and CodeGemma: 2B and 7B",
  traits:
    "Norms whose weights count from one, a feed-forward part gated by GELU, heads of a width of their own; embeddings are scaled.",
  gguf: decoderGguf({
    architecture: "gemma",
    className: "GemmaForCausalLM",
    changes: { attn_norm: "plus-one", ffn_norm: "plus-one", output_norm: "plus-one" },
    fixed: { hidden_act: "gelu_pytorch_tanh" },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const attention = attentionPart(plainAttention(raw, c));
    const layer = preNormBlock(rmsNormPlusOne(c.rms_norm_eps), attention, gemmaMlp(c));
    return decoder(raw, c, repeat(layer, c), gemmaEnds(c));
  },
};
