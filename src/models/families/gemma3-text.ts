/**
 * @file The text part of the Gemma 3 family: five layers with a window, whose rotation has another base, for each layer without;
 * norms on each head of queries and keys.
 *
 * Paper: "Gemma 3 Technical Report", arXiv:2503.19786, section 2.
 */
import { z } from "zod";
import { headNorm, rmsNormPlusOne } from "../../nn/norms.ts";
import { withHeadNorms } from "../../nn/self-attention.ts";
import type { Family, ModelDefinition, RawConfig } from "../family.ts";
import { GEMMA_FIELDS, gemmaAttention, gemmaDecoder, gemmaGguf } from "../blocks/gemma.ts";
import { count, real } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";
import { readRopes } from "../config/rope-config.ts";

const SCHEMA = z.object({
  ...GEMMA_FIELDS,
  max_position_embeddings: z.int().positive().default(131_072),
  // Norms of queries and keys have replaced this cap; transformers does not use it.
  attn_logit_softcapping: z.number().positive().nullish(),
  rope_local_base_freq: z.number().positive().nullish(),
  sliding_window_pattern: z.int().positive().nullish(),
});

/** Default bases of the rotation. */
const [FULL_BASE, WINDOW_BASE] = [1_000_000, 10_000];
/** By default, one layer in this many has no window. */
const DEFAULT_PATTERN = 6;

/** The text part, from its own settings. @throws UsageError "usage/model" for what is not implemented */
export function openGemma3(raw: RawConfig): ModelDefinition {
  const c = parseConfig(SCHEMA, raw);
  // Rotation differs between layers with and without a window, and is read below for each.
  const plain = gemmaAttention({ ...raw, rope_parameters: null, rope_scaling: null }, c);
  const norm = rmsNormPlusOne(c.rms_norm_eps);
  const attention = withHeadNorms(plain, headNorm(norm));
  const { rope, windowRope } = readRopes(raw, plain.headWidth, {
    maxPositions: c.max_position_embeddings,
    theta: c.rope_theta ?? FULL_BASE,
    windowTheta: c.rope_local_base_freq ?? WINDOW_BASE,
  });
  const full = { ...attention, rope };
  const windowed = { ...attention, window: c.sliding_window, rope: windowRope };
  const pattern = c.sliding_window_pattern ?? DEFAULT_PATTERN;
  return gemmaDecoder(raw, c, { full, windowed }, (layer) => (layer + 1) % pattern !== 0);
}

export const GEMMA3_GGUF = gemmaGguf({
  architecture: "gemma3",
  className: "Gemma3ForCausalLM",
  numLayersOfLargest: 62,
  hasHeadNorms: true,
  settings: {
    "attention.sliding_window": count("sliding_window"),
    "attention.sliding_window_pattern": count("sliding_window_pattern", DEFAULT_PATTERN),
    "rope.freq_base_swa": real("rope_local_base_freq", WINDOW_BASE),
    final_logit_softcapping: real("final_logit_softcapping", "left-out"),
  },
  values: ({ sliding_window_pattern }, attention) => ({
    // The first layer without a window ends a period.
    sliding_window_pattern:
      sliding_window_pattern ?? (attention.findIndex(({ window }) => window === null) + 1 || DEFAULT_PATTERN),
    rope_local_base_freq: attention.find(({ window }) => window !== null)?.rope?.theta ?? WINDOW_BASE,
  }),
});

export const gemma3Text: Family = {
  modelType: "gemma3_text",
  summary: "Gemma 3 for text: 270M and 1B",
  traits:
    "Four norms a block and one on each head of queries and keys; five layers with a window for each without, and another rotary base for each kind; embeddings are scaled.",
  gguf: GEMMA3_GGUF,
  open: openGemma3,
};
