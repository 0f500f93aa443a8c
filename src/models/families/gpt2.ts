/**
 * @file The GPT-2 family: learned positions, layer norms, one projection for queries, keys and values, biases everywhere.
 *
 *   x = E[ids] + P[positions]      x ← x + Wo attention(norm(x) Wqkv)      x ← x + W₂ gelu(W₁ norm(x))
 *
 * Paper: "Language Models are Unsupervised Multitask Learners" (2019), section 2.3. Its files keep matrices as [in, out].
 */
import { z } from "zod";
import { layerNorm } from "../../nn/norms.ts";
import { unrotatedAttention } from "../../nn/self-attention.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import { fusedPart, plainMlpPart, preNormBlock, repeat } from "../blocks/decoder-blocks.ts";
import type { Family, Layer } from "../family.ts";
import { ACTIVATION } from "../config/activation-config.ts";
import { TRANSPOSED, decoderGguf, fusedNames, preNormNames, real, mlpNames } from "../config/decoder-gguf.ts";
import { EARLY_KEYS, HEADS_DIVIDE_WIDTH, SIZE_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z
  .object({
    ...SIZE_FIELDS,
    max_position_embeddings: z.int().positive().default(1024),
    intermediate_size: z.int().positive().nullish(),
    hidden_act: ACTIVATION.default("gelu_new"),
    layer_norm_epsilon: z.number().positive().default(1e-5),
    tie_word_embeddings: z.boolean().default(true),
    scale_attn_weights: z.literal(true).default(true),
    scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  })
  .refine(...HEADS_DIVIDE_WIDTH);

const NAMES = {
  embedding: "transformer.wte",
  positions: "transformer.wpe",
  finalNorm: "transformer.ln_f",
  blocks: "transformer.h.",
  ignored: /\.attn\.(masked_)?bias$/,
};
const NORMS = { attention: "ln_1", mlp: "ln_2" };
const ATTENTION = { qkv: "attn.c_attn", output: "attn.c_proj", storedTransposed: true };
const MLP = { up: "mlp.c_fc", down: "mlp.c_proj", storedTransposed: true };

export const gpt2: Family = {
  modelType: "gpt2",
  summary: "GPT-2, from small to XL",
  traits:
    "Learned positions, layer norms, biases everywhere, one projection for queries, keys and values. Files keep matrices as [in, out]; adapters are saved with `fan_in_fan_out`, as PEFT does.",
  gguf: decoderGguf({
    architecture: "gpt2",
    className: "GPT2LMHeadModel",
    names: NAMES,
    blockNames: { preNorms: preNormNames(NORMS), attention: fusedNames(ATTENTION), mlp: mlpNames(MLP) },
    changes: TRANSPOSED,
    settings: { "attention.layer_norm_epsilon": real("layer_norm_epsilon") },
    rotated: null,
    fixed: { hidden_act: "gelu_new" },
    switches: {},
    keys: EARLY_KEYS,
  }),
  open: (raw) => {
    const { intermediate_size: given, ...parsed } = parseConfig(SCHEMA, raw, EARLY_KEYS);
    const c = { ...parsed, intermediate_size: given ?? 4 * parsed.hidden_size };
    const attention = { ...unrotatedAttention(c.hidden_size, c.num_attention_heads), causal: true };
    const norm = layerNorm(c.layer_norm_epsilon);
    const layerOf = (scale: number): Layer => {
      const attend = fusedPart(ATTENTION, { ...attention, scale });
      return preNormBlock(norm, attend, plainMlpPart(MLP, c, true), NORMS);
    };
    // For Mistral, Stanford's GPT-2, whose scores are also divided by the number of the layer.
    const layers = c.scale_attn_by_inverse_layer_idx
      ? Array.from({ length: c.num_hidden_layers }, (_, layer) => layerOf(attention.scale / (layer + 1)))
      : repeat(layerOf(attention.scale), c);
    return decoder(raw, c, layers, plainEnds(norm, NAMES));
  },
};
