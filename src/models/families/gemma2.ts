/**
 * @file The Gemma 2 family: every second layer has a window; scores and logits stay under a cap.
 *
 * Paper: "Gemma 2", arXiv:2408.00118, section 2.
 */
import { z } from "zod";
import type { Family } from "../family.ts";
import { GEMMA_FIELDS, gemmaAttention, gemmaDecoder, gemmaGguf } from "../blocks/gemma-block.ts";
import { count, real } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...GEMMA_FIELDS,
  attn_logit_softcapping: z.number().positive().nullable().default(50),
  final_logit_softcapping: z.number().positive().nullable().default(30),
});

export const gemma2: Family = {
  modelType: "gemma2",
  summary: "Gemma 2",
  traits:
    "Four norms a block, whose weights count from one; every second layer has a window; attention scores and logits stay under a cap; embeddings are scaled.",
  gguf: gemmaGguf({
    architecture: "gemma2",
    className: "Gemma2ForCausalLM",
    numLayersOfLargest: 46,
    hasHeadNorms: false,
    settings: {
      "attention.sliding_window": count("sliding_window", 4096),
      attn_logit_softcapping: real("attn_logit_softcapping", 50),
      final_logit_softcapping: real("final_logit_softcapping", 30),
    },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const full = { ...gemmaAttention(raw, c), softcap: c.attn_logit_softcapping };
    return gemmaDecoder(
      raw,
      c,
      { full, windowed: { ...full, window: c.sliding_window } },
      (layer) => layer % 2 === 0,
    );
  },
};
