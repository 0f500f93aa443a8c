/**
 * @file The Llama family.
 *
 *   x ← x + Wo attention(norm(x) Wqkv)        x ← x + Wdown (silu(Wgate norm(x)) ∘ Wup norm(x))
 *
 * Papers: "LLaMA", arXiv:2302.13971; "The Llama 3 Herd of Models", arXiv:2407.21783.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, repeat } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { BIAS_SWITCHES, decoderGguf, NEIGHBOUR_ROWS } from "../config/decoder-gguf.ts";
import { BIAS_FIELDS, DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  ...BIAS_FIELDS,
  // Falcon 3 has the activation under this name too.
  activation: z.literal("swiglu").nullish(),
});

export const llama: Family = {
  modelType: "llama",
  summary: "The Llama family: SmolLM2, Llama 2 and 3, TinyLlama",
  traits:
    "Pre-norm blocks with RMS norms, rotated queries and keys, fewer key and value heads than query heads, and a gated feed-forward part; biases where the configuration has them.",
  gguf: decoderGguf({
    architecture: "llama",
    className: "LlamaForCausalLM",
    changes: NEIGHBOUR_ROWS,
    switches: BIAS_SWITCHES,
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    return plainDecoder(raw, c, repeat(llamaBlock(c, plainAttention(raw, c)), c));
  },
};
