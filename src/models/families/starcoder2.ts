/**
 * @file The StarCoder 2 family: layer norms, biases, a feed-forward part without a gate, rotated and shared keys, a window.
 *
 * Paper: "StarCoder 2 and The Stack v2: The Next Generation", arXiv:2402.19173, section 6.
 */
import { z } from "zod";
import { layerNorm } from "../../nn/norms.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import {
  attentionPart,
  plainAttention,
  plainMlpPart,
  preNormBlock,
  repeat,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { LAYER_NORMS, decoderGguf, mlpNames } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  num_key_value_heads: z.int().positive().nullable().default(2),
  max_position_embeddings: z.int().positive().default(4096),
  tie_word_embeddings: z.boolean().default(true),
  hidden_act: z.literal("gelu_pytorch_tanh").default("gelu_pytorch_tanh"),
  sliding_window: z.int().positive().nullish(),
  use_bias: z.boolean().default(true),
  // Settings of the code that trained the model; transformers ignores them.
  activation_function: z.string().nullish(),
  layer_norm_epsilon: z.number().nullish(),
  mlp_type: z.literal("default").nullish(),
  norm_type: z.literal("layer_norm").nullish(),
  scale_attn_weights: z.literal(true).nullish(),
  attention_softmax_in_fp32: z.boolean().nullish(),
  scale_attention_softmax_in_fp32: z.boolean().nullish(),
  residual_dropout: z.number().nullish(),
  embedding_dropout: z.number().nullish(),
});

/** Its files' name for the epsilon of norms. */
const KEYS = { rms_norm_eps: "norm_epsilon" };
const MLP = { up: "mlp.c_fc", down: "mlp.c_proj" };

export const starcoder2: Family = {
  modelType: "starcoder2",
  summary: "StarCoder 2: 3B, 7B and 15B",
  traits:
    "Layer norms and biases, a feed-forward part without a gate, rotated queries and keys, fewer key and value heads; with `sliding_window`, a token sees that many keys at most.",
  // Such a file has no setting for a window, and its readers assume none.
  gguf: decoderGguf({
    architecture: "starcoder2",
    className: "Starcoder2ForCausalLM",
    blockNames: { mlp: mlpNames(MLP) },
    norms: LAYER_NORMS,
    keys: KEYS,
    fixed: { hidden_act: "gelu_pytorch_tanh" },
    switches: { use_bias: "attn_q.bias" },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const { use_bias: bias } = c;
    const attention = attentionPart({
      ...plainAttention(raw, c),
      window: c.sliding_window ?? null,
      bias: { qkv: bias, output: bias },
    });
    const norm = layerNorm(c.rms_norm_eps);
    const layer = preNormBlock(norm, attention, plainMlpPart(MLP, c, bias));
    return decoder(raw, c, repeat(layer, c), plainEnds(norm));
  },
};
