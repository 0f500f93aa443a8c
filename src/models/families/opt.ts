/**
 * @file The OPT family: learned positions, layer norms, biases, a feed-forward part without a gate.
 *
 *   x = E[ids] + P[positions + 2]      x ← x + Wo attention(norm(x))      x ← x + W₂ relu(W₁ norm(x))
 *
 * Paper: "OPT: Open Pre-trained Transformer Language Models", arXiv:2205.01068, section 2.1.
 */
import { z } from "zod";
import { layerNorm } from "../../nn/norms.ts";
import { unrotatedAttention } from "../../nn/self-attention.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import { attentionPart, plainMlpPart, preNormBlock, repeat } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { ACTIVATION } from "../config/activation-config.ts";
import { HEADS_DIVIDE_WIDTH, SIZE_FIELDS, parseConfig, unusable } from "../config/hf-config.ts";

const SCHEMA = z
  .object({
    ...SIZE_FIELDS,
    intermediate_size: z.int().positive(),
    max_position_embeddings: z.int().positive().default(2048),
    hidden_act: ACTIVATION.default("relu"),
    tie_word_embeddings: z.boolean().default(true),
    enable_bias: z.boolean().default(true),
    // Only OPT-350M has norms after the branches, and an embedding of another width.
    do_layer_norm_before: z.literal(true).default(true),
    word_embed_proj_dim: z.int().positive().nullish(),
    // In files from before transformers 4.20.
    _remove_final_layer_norm: z.literal(false).default(false),
    layer_norm_elementwise_affine: z.literal(true).default(true),
    // In files of Galactica.
    learned_embeddings: z.literal(true).nullish(),
    scale_embeddings: z.literal(false).nullish(),
  })
  .refine(...HEADS_DIVIDE_WIDTH);

/** Names of these settings in its files. */
const KEYS = { intermediate_size: "ffn_dim", hidden_act: "activation_function" };
const NAMES = {
  embedding: "model.decoder.embed_tokens",
  positions: "model.decoder.embed_positions",
  firstPosition: 2,
  finalNorm: "model.decoder.final_layer_norm",
  blocks: "model.decoder.layers.",
};
const NORMS = { attention: "self_attn_layer_norm", mlp: "final_layer_norm" };

export const opt: Family = {
  modelType: "opt",
  summary: "OPT from 125M to 66B, except 350M; Galactica",
  traits:
    "Learned positions, layer norms, biases where the configuration has them, a feed-forward part without a gate.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const { hidden_size: width, enable_bias: bias } = c;
    if ((c.word_embed_proj_dim ?? width) !== width) {
      throw unusable(raw, `word_embed_proj_dim is ${c.word_embed_proj_dim} (expected hidden_size, ${width})`);
    }
    const plain = unrotatedAttention(width, c.num_attention_heads);
    const attention = { ...plain, causal: true, bias: { qkv: bias, output: bias } };
    const norm = layerNorm(1e-5);
    const attend = attentionPart(attention, { output: "out_proj" });
    const layer = preNormBlock(norm, attend, plainMlpPart({ up: "fc1", down: "fc2" }, c, bias), NORMS);
    return decoder(raw, c, repeat(layer, c), plainEnds(norm, NAMES));
  },
};
