/**
 * @file The Qwen 3 family: Llama's blocks with a norm on each head of queries and keys, and heads of any width.
 *
 * Paper: "Qwen3 Technical Report", arXiv:2505.09388, section 2.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { upperWindowBlocks } from "../blocks/upper-windows.ts";
import type { Family } from "../family.ts";
import { BLOCK_NAMES, decoderGguf } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";
import { QWEN3_FIELDS, qwen3Attention } from "../blocks/qwen3-attention.ts";

const SCHEMA = z.object({
  ...QWEN3_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(32),
  head_dim: z.int().positive().default(128),
});

export const qwen3: Family = {
  modelType: "qwen3",
  summary: "Qwen 3 without experts",
  traits:
    "Llama's blocks with an RMS norm on each head of queries and keys, and heads of a width of their own.",
  gguf: decoderGguf({
    architecture: "qwen3",
    className: "Qwen3ForCausalLM",
    blockNames: { headNorms: BLOCK_NAMES.headNorms },
    fixed: { use_sliding_window: false },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    return plainDecoder(raw, c, upperWindowBlocks(raw, c, qwen3Attention(raw, c)));
  },
};
