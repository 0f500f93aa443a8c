/** @file The Granite family: Llama's blocks with Granite's factors. */
import { z } from "zod";
import { mlpPart, plainAttention, repeat, siluMlp } from "../blocks/decoder-blocks.ts";
import { GRANITE_FIELDS, graniteAttention, graniteBlock, graniteDecoder } from "../blocks/granite.ts";
import type { Family } from "../family.ts";
import { GRANITE_GGUF } from "../config/granite-gguf.ts";
import { BIAS_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({ ...GRANITE_FIELDS, ...BIAS_FIELDS });

export const granite: Family = {
  modelType: "granite",
  summary: "Granite 3 without experts: 2B and 8B",
  traits:
    "Llama's blocks with factors of the configuration on embeddings, attention scores, branches and logits.",
  autoClasses: { "sequence-classification": null },
  gguf: GRANITE_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const attention = graniteAttention(c, plainAttention(raw, c));
    return graniteDecoder(raw, c, repeat(graniteBlock(c, attention, mlpPart(siluMlp(c))), c));
  },
};
