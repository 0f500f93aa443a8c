/**
 * @file The Cohere 2 family: Cohere's blocks, three with a window for each one that sees all keys and does not rotate.
 *
 * Paper: "Command A: An Enterprise-Ready Large Language Model", arXiv:2504.00698, section 2.
 */
import { z } from "zod";
import { COHERE_FIELDS, COHERE_KEYS, cohereAttention, cohereBlock, cohereDecoder } from "../blocks/cohere.ts";
import type { Family } from "../family.ts";
import { LAYER_NORMS, count, decoderGguf, real, FIRST_NORM } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";
import { WINDOW_FIELDS, layersByWindow } from "../config/window-config.ts";

const SCHEMA = z.object({
  ...COHERE_FIELDS,
  sliding_window: z.int().positive().default(4096),
  layer_types: WINDOW_FIELDS.layer_types,
  sliding_window_pattern: z.int().positive().default(4),
  // Settings of the code that trained the models, the same for all of them; transformers ignores these.
  layer_switch: z.int().nullish(),
  order_of_interleaved_layers: z.literal("local_attn_first").nullish(),
  position_embedding_type: z.literal("rope_gptj").nullish(),
  rotary_pct: z.literal(1).nullish(),
  use_embedding_sharing: z.literal(true).nullish(),
  use_gated_activation: z.literal(true).nullish(),
  use_parallel_block: z.literal(true).nullish(),
  use_parallel_embedding: z.literal(false).nullish(),
  use_qk_norm: z.literal(false).nullish(),
});

export const cohere2: Family = {
  modelType: "cohere2",
  summary: "Command R7B and Command A",
  traits:
    "Cohere's blocks, of which every fourth sees all keys and does not rotate them; the others have a window.",
  // The file does not tell which layers have a window: readers assume all but every fourth.
  autoClasses: { "sequence-classification": null },
  gguf: decoderGguf({
    architecture: "cohere2",
    className: "Cohere2ForCausalLM",
    blockNames: { preNorms: FIRST_NORM },
    settings: { logit_scale: real("logit_scale"), "attention.sliding_window": count("sliding_window") },
    norms: LAYER_NORMS,
    keys: COHERE_KEYS,
    fixed: { sliding_window_pattern: 4 },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, COHERE_KEYS);
    const rotated = cohereAttention(raw, c);
    const full = cohereBlock(c, { ...rotated, rope: null });
    const windowed = cohereBlock(c, { ...rotated, window: c.sliding_window });
    const isWindowed = (layer: number): boolean => (layer + 1) % c.sliding_window_pattern !== 0;
    return cohereDecoder(raw, c, layersByWindow(raw, c, { full, windowed }, isWindowed));
  },
};
