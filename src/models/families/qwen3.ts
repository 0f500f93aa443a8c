/**
 * @file The Qwen 3 family: Llama's blocks with a norm on each head of queries and keys, heads of a width of their own.
 *
 * Paper: "Qwen3 Technical Report", arXiv:2505.09388, section 2.
 */
import { z } from "zod";
import { headNorm, rmsNorm } from "../../nn/norms.ts";
import type { SelfAttentionOptions } from "../../nn/self-attention.ts";
import { plainDecoder, plainAttention, upperWindowBlocks } from "../decoder.ts";
import type { Family, RawConfig } from "../family.ts";
import { ATTENTION_NAMES, decoderGguf, HEAD_NORM_NAMES, MLP_NAMES, PRE_NORM_NAMES } from "../gguf-rules.ts";
import { DECODER_FIELDS, type DecoderFields, WINDOW_FIELDS, parseConfig } from "../hf-config.ts";

/** Settings of the attention of Qwen 3, with experts or without. */
export const QWEN3_FIELDS = {
  ...DECODER_FIELDS,
  ...WINDOW_FIELDS,
  attention_bias: z.boolean().default(false),
  hidden_act: z.literal("silu").default("silu"),
};

const SCHEMA = z.object(QWEN3_FIELDS);

/** The attention of Qwen 3. */
export function qwen3Attention(
  raw: RawConfig,
  c: DecoderFields & { readonly attention_bias: boolean },
): SelfAttentionOptions {
  const plain = plainAttention(raw, c);
  const norm = rmsNorm(c.rms_norm_eps);
  return {
    ...plain,
    bias: { qkv: c.attention_bias, output: c.attention_bias },
    queryNorm: headNorm(norm, plain.numHeads),
    keyNorm: headNorm(norm, plain.numKeyValueHeads),
  };
}

export const qwen3: Family = {
  modelType: "qwen3",
  summary: "Qwen 3 without experts",
  traits:
    "Llama's blocks with an RMS norm on each head of queries and keys, and heads of a width of their own.",
  gguf: decoderGguf({
    architecture: "qwen3",
    className: "Qwen3ForCausalLM",
    blockNames: { ...PRE_NORM_NAMES, ...ATTENTION_NAMES, ...HEAD_NORM_NAMES, ...MLP_NAMES },
    fixed: { use_sliding_window: false },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    return plainDecoder(raw, c, upperWindowBlocks(raw, c, qwen3Attention(raw, c)));
  },
};
