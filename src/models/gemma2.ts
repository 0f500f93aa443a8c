/**
 * @file The Gemma 2 family: every second layer has a window; scores and logits stay under a cap.
 *
 * Paper: "Gemma 2", arXiv:2408.00118, section 2.
 */
import { z } from "zod";
import { decoder } from "./decoder.ts";
import type { Family } from "./family.ts";
import { GEMMA_FIELDS, gemmaAttention, gemmaBlock, gemmaEnds, gemmaGguf } from "./gemma-block.ts";
import { count, real } from "./gguf-rules.ts";
import { parseConfig, windowedLayers } from "./hf-config.ts";

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
    values: ({ sliding_window = 4096, attn_logit_softcapping = 50, final_logit_softcapping = 30 }) => ({
      sliding_window,
      attn_logit_softcapping,
      final_logit_softcapping,
    }),
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const attention = gemmaAttention(raw, c);
    const full = gemmaBlock(c, attention);
    const windowed = gemmaBlock(c, { ...attention, window: c.sliding_window });
    const isWindowed = windowedLayers(raw, c, (layer) => layer % 2 === 0);
    return decoder(
      raw,
      c,
      isWindowed.map((has) => (has ? windowed : full)),
      gemmaEnds(c),
    );
  },
};
