/**
 * @file The Llama family.
 *
 *   x ← x + Wo attention(norm(x) Wqkv)        x ← x + Wdown (silu(Wgate norm(x)) ∘ Wup norm(x))
 *
 * Papers: "LLaMA", arXiv:2302.13971; "The Llama 3 Herd of Models", arXiv:2407.21783.
 */
import { z } from "zod";
import { llamaBlock, mlpPart, plainAttention, plainDecoder, repeat, siluMlp } from "../blocks/decoder.ts";
import type { Family } from "../family.ts";
import { decoderGguf, NEIGHBOUR_ROWS } from "../config/gguf-rules.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  hidden_act: z.literal("silu").default("silu"),
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
    switches: { attention_bias: "attn_q.bias", mlp_bias: "ffn_up.bias" },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const bias = { qkv: c.attention_bias, output: c.attention_bias };
    const layer = llamaBlock(c, { ...plainAttention(raw, c), bias }, mlpPart(siluMlp(c, c.mlp_bias)));
    return plainDecoder(raw, c, repeat(layer, c));
  },
};
