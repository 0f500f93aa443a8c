/** @file Granite 3 with experts in every layer. */
import { z } from "zod";
import { plainAttention, repeat } from "../blocks/decoder-blocks.ts";
import {
  GRANITE_EXPERTS,
  GRANITE_FIELDS,
  graniteAttention,
  graniteBlock,
  graniteDecoder,
  graniteExperts,
  withStackedExperts,
} from "../blocks/granite.ts";
import type { Family } from "../family.ts";
import { GRANITE_MOE_GGUF } from "../config/granite-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";

const size = z.int().positive();

const SCHEMA = z.object({
  ...GRANITE_FIELDS,
  ...GRANITE_EXPERTS.fields,
  attention_bias: z.boolean().default(false),
  num_experts: size.default(8),
  num_experts_per_tok: size.default(2),
});

export const granitemoe: Family = {
  modelType: "granitemoe",
  summary: "Granite 3 with experts: 1B-A400M and 3B-A800M",
  traits:
    "Granite's blocks; in every layer a router chooses a few of many experts for each token, with weights that add up to 1. Adapters can sit on the router (`router`) and on every expert.",
  autoClasses: { "sequence-classification": null },
  inTransformersJs: false,
  gguf: GRANITE_MOE_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, GRANITE_EXPERTS.keys);
    const attention = graniteAttention(c, plainAttention(raw, c));
    const block = graniteBlock(c, attention, graniteExperts(raw, c));
    return withStackedExperts(graniteDecoder(raw, c, repeat(block, c)));
  },
};
