/**
 * @file The first OLMo family: Llama's blocks with layer norms without weights.
 *
 * Paper: "OLMo: Accelerating the Science of Language Models", arXiv:2402.00838, section 2.1.
 */
import { z } from "zod";
import { bareLayerNorm } from "../../nn/norms.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import {
  attentionPart,
  mlpPart,
  plainAttention,
  preNormBlock,
  repeat,
  siluMlp,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { LAYER_NORMS, NEIGHBOUR_ROWS, decoderGguf } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  // Only GGUF files of the family have this.
  rms_norm_eps: z.number().positive().default(1e-5),
  attention_bias: z.boolean().default(false),
  clip_qkv: z.null().optional(),
});

export const olmo: Family = {
  modelType: "olmo",
  summary: "OLMo 1, if it does not clip queries, keys and values (`clip_qkv`)",
  traits: "Llama's blocks with layer norms that have neither factors nor biases.",
  gguf: decoderGguf({
    architecture: "olmo",
    className: "OlmoForCausalLM",
    blockNames: { preNorms: {} },
    changes: NEIGHBOUR_ROWS,
    norms: LAYER_NORMS,
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const norm = bareLayerNorm(c.rms_norm_eps);
    const layer = preNormBlock(norm, attentionPart(plainAttention(raw, c)), mlpPart(siluMlp(c)));
    return decoder(raw, c, repeat(layer, c), plainEnds(norm));
  },
};
