/**
 * @file The Qwen 2 and 2.5 families: Llama's blocks with biases on queries, keys and values.
 *
 * Paper: "Qwen2.5 Technical Report", arXiv:2412.15115, section 2.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { plainAttention } from "../blocks/decoder-blocks.ts";
import { upperWindowBlocks } from "../blocks/upper-windows.ts";
import type { Family } from "../family.ts";
import { decoderGguf } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";
import { WINDOW_FIELDS } from "../config/window-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  ...WINDOW_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(32),
  max_position_embeddings: z.int().positive().default(32_768),
  sliding_window: z.int().positive().nullable().default(4096),
  qkv_bias: z.literal(true).nullish(),
  // How vLLM reads prompts of more than 250,000 tokens; transformers ignores it.
  dual_chunk_attention_config: z.record(z.string(), z.unknown()).nullish(),
});

export const qwen2: Family = {
  modelType: "qwen2",
  summary: "Qwen 2 and Qwen 2.5",
  traits:
    "Llama's blocks with biases on queries, keys and values; with `use_sliding_window`, the upper layers have a window.",
  gguf: decoderGguf({
    architecture: "qwen2",
    className: "Qwen2ForCausalLM",
    fixed: { use_sliding_window: false },
    switches: {},
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const attention = { ...plainAttention(raw, c), bias: { qkv: true, output: false } };
    return plainDecoder(raw, c, upperWindowBlocks(raw, c, attention));
  },
};
