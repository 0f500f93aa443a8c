/**
 * @file The Gemma 2 family: every second layer has a window; scores and logits are capped.
 *
 * Paper: "Gemma 2", arXiv:2408.00118, section 2.
 */
import { z } from "zod";
import type { Family } from "../family.ts";
import { CAPPED_GEMMA_FIELDS, cappedGemma, gemmaGguf } from "../blocks/gemma.ts";
import { count, real } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object(CAPPED_GEMMA_FIELDS);

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
  open: (raw) => cappedGemma(raw, parseConfig(SCHEMA, raw), true),
};
