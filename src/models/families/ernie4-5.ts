/**
 * @file The ERNIE 4.5 family without experts: Llama's blocks with rotation in pairs of neighbours, and biases in all projections
 * or none.
 *
 * Report: "ERNIE 4.5 Technical Report", Baidu, 2025.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, repeat, rotatingNeighbours } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { decoderGguf } from "../config/decoder-gguf.ts";
import { ERNIE_FIELDS } from "../config/ernie-config.ts";
import { parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...ERNIE_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(2),
  head_dim: z.int().positive().nullable().default(128),
});

export const ernie45: Family = {
  modelType: "ernie4_5",
  summary: "ERNIE 4.5 without experts: 0.3B",
  traits:
    "Llama's blocks, in which neighbouring columns of a head are rotated together; biases in all projections or none.",
  autoClasses: { "sequence-classification": null },
  gguf: decoderGguf({
    architecture: "ernie4_5",
    className: "Ernie4_5ForCausalLM",
    switches: { use_bias: "attn_q.bias" },
  }),
  open: (raw) => {
    const { use_bias: hasBias, ...parsed } = parseConfig(SCHEMA, raw);
    const c = { ...parsed, attention_bias: hasBias, mlp_bias: hasBias };
    return plainDecoder(raw, c, repeat(llamaBlock(c, rotatingNeighbours(plainAttention(raw, c))), c));
  },
};
