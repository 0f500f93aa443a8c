/**
 * @file The EXAONE 4 family: norms after the branches and on each head of queries and keys; if some layers have a window, those
 * without one do not rotate.
 *
 * Report: "EXAONE 4.0: Unified Large Language Models Integrating Non-reasoning and Reasoning Modes", arXiv:2507.11407, section 2.1.
 */
import { z } from "zod";
import { rmsNorm } from "../../nn/norms.ts";
import type { SelfAttentionOptions } from "../../nn/self-attention.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { attentionPart, mlpPart, postNormBlock, siluMlp } from "../blocks/decoder-blocks.ts";
import { qwen3Attention } from "../blocks/qwen3-attention.ts";
import type { Family, Layer } from "../family.ts";
import { decoderGguf, NORMS_BEHIND } from "../config/decoder-gguf.ts";
import { LAYER_WINDOWS } from "../config/gguf-windows.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";
import { WINDOW_FIELDS, layersByWindow } from "../config/window-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  num_key_value_heads: z.int().positive().default(32),
  rms_norm_eps: z.number().positive().default(1e-5),
  sliding_window: z.int().positive().nullable().default(4096),
  layer_types: WINDOW_FIELDS.layer_types,
  // "LLLG" means the same as 4.
  sliding_window_pattern: z.union([z.int().min(0), z.string().regex(/^L*G$/)]).nullish(),
});

const DEFAULT_PATTERN = 4;

export const exaone4: Family = {
  modelType: "exaone4",
  summary: "EXAONE 4.0: 1.2B and 32B",
  traits:
    "Norms behind the branches and on each head of queries and keys; with `sliding_window`, every fourth layer sees all keys and does not rotate them, and the others have a window.",
  inTransformersJs: false,
  gguf: decoderGguf({
    architecture: "exaone4",
    className: "Exaone4ForCausalLM",
    blockNames: NORMS_BEHIND,
    switches: {},
    ...LAYER_WINDOWS,
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { sliding_window: window, sliding_window_pattern: given } = c;
    const period = (typeof given === "string" ? given.length : given) ?? DEFAULT_PATTERN;
    const norm = rmsNorm(c.rms_norm_eps);
    const block = (attention: SelfAttentionOptions): Layer =>
      postNormBlock(norm, attentionPart(attention), mlpPart(siluMlp(c)));
    const rotated = qwen3Attention(raw, c);
    const full = block({ ...rotated, rope: window === null ? rotated.rope : null });
    const windowed = block({ ...rotated, window });
    const isWindowed = (layer: number): boolean => window !== null && (layer + 1) % period !== 0;
    return plainDecoder(raw, c, layersByWindow(raw, c, { full, windowed }, isWindowed));
  },
};
