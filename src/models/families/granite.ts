/** @file The Granite family: Llama's blocks with Granite's factors. */
import { z } from "zod";
import { mlpPart, plainAttention, repeat, siluMlp } from "../blocks/decoder-blocks.ts";
import { GRANITE_FIELDS, graniteAttention, graniteBlock, graniteDecoder } from "../blocks/granite.ts";
import type { Family } from "../family.ts";
import { BIAS_SWITCHES, decoderGguf, NEIGHBOUR_ROWS, real } from "../config/decoder-gguf.ts";
import { BIAS_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({ ...GRANITE_FIELDS, ...BIAS_FIELDS });

export const granite: Family = {
  modelType: "granite",
  summary: "Granite 3 without experts: 2B and 8B",
  traits:
    "Llama's blocks with factors of the configuration on embeddings, attention scores, branches and logits.",
  gguf: decoderGguf({
    architecture: "granite",
    className: "GraniteForCausalLM",
    changes: NEIGHBOUR_ROWS,
    settings: {
      embedding_scale: real("embedding_multiplier", 1),
      "attention.scale": real("attention_multiplier", 1),
      residual_scale: real("residual_multiplier", 1),
      logit_scale: real("logits_scaling", 1),
    },
    switches: BIAS_SWITCHES,
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const attention = graniteAttention(c, plainAttention(raw, c));
    return graniteDecoder(raw, c, repeat(graniteBlock(c, attention, mlpPart(siluMlp(c))), c));
  },
};
