/**
 * @file The OLMo 2 family: norms behind the branches instead of before them, and on all queries and keys together.
 *
 *   x ← x + norm(attention(x))      x ← x + norm(mlp(x))
 *
 * Paper: "2 OLMo 2 Furious", arXiv:2501.00656, section 3.
 */
import { z } from "zod";
import { rmsNorm } from "../../nn/norms.ts";
import { attentionPart, plainDecoder, mlpPart, plainAttention, repeat, siluMlp } from "../blocks/decoder.ts";
import type { Family, Layer } from "../family.ts";
import { BLOCK_NAMES, decoderGguf } from "../config/gguf-rules.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  attention_bias: z.boolean().default(false),
  hidden_act: z.literal("silu").default("silu"),
});

export const olmo2: Family = {
  modelType: "olmo2",
  summary: "OLMo 2",
  traits: "Norms behind the branches instead of before them, and on all queries and all keys together.",
  gguf: decoderGguf({
    architecture: "olmo2",
    className: "Olmo2ForCausalLM",
    blockNames: {
      ...BLOCK_NAMES.attention,
      ...BLOCK_NAMES.headNorms,
      ...BLOCK_NAMES.mlp,
      post_attention_norm: "post_attention_layernorm",
      post_ffw_norm: "post_feedforward_layernorm",
    },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const norm = rmsNorm(c.rms_norm_eps);
    const attention = attentionPart({ ...plainAttention(raw, c), queryNorm: norm, keyNorm: norm });
    const mlp = mlpPart(siluMlp(c));
    const layer: Layer = {
      build: (b, x) => {
        const middle = b.branch("attention", x, (x) => norm(b, "post_attention_layernorm", attention(b, x)));
        return b.branch("mlp", middle, (x) => norm(b, "post_feedforward_layernorm", mlp(b, x)));
      },
    };
    return plainDecoder(raw, c, repeat(layer, c));
  },
};
