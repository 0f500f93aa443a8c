/**
 * @file The ModernBERT family of decoders: the blocks of the encoder with separate projections for queries, keys and values, and
 * the encoder's head for masked words before the matrix of logits.
 *
 *   logits = E norm(f(W norm(x))) + b
 *
 * Paper: "Seq vs Seq: An Open Suite of Paired Encoders and Decoders", arXiv:2507.11412, section 3.
 */
import { z } from "zod";
import { type Norm, layerNorm } from "../../nn/norms.ts";
import { attentionPart } from "../blocks/decoder-blocks.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import { LOCAL_ENCODER_FIELDS, localBlocks } from "../blocks/local-encoder.ts";
import type { Family } from "../family.ts";
import { ACTIVATION, activationOf } from "../config/activation-config.ts";
import { isClassifier } from "../config/classifier-config.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z
  .object({
    ...LOCAL_ENCODER_FIELDS,
    local_attention: z.int().min(2).default(128),
    // In files that transformers wrote; takes precedence over half of `local_attention`.
    sliding_window: z.int().positive().nullish(),
    norm_bias: z.boolean().default(false),
    decoder_bias: z.boolean().default(true),
    classifier_activation: ACTIVATION.default("gelu"),
    classifier_bias: z.boolean().default(false),
    tie_word_embeddings: z.boolean().default(true),
    // Settings of the code that trained the models; transformers ignores them.
    causal_mask: z.literal(true).nullish(),
    is_causal: z.literal(true).nullish(),
    classifier_pooling: z.string().nullish(),
    layer_norm_eps: z.number().nullish(),
    position_embedding_type: z.string().nullish(),
  })
  .refine(...HEADS_DIVIDE_WIDTH);

/** Names of these settings in its files. */
const KEYS = { rms_norm_eps: "norm_eps", hidden_act: "hidden_activation" };
const EMBEDDINGS = "model.embeddings.";
const NAMES = {
  embedding: `${EMBEDDINGS}tok_embeddings`,
  beside: [`${EMBEDDINGS}norm`],
  finalNorm: "model.final_norm",
  blocks: "model.layers.",
  head: "decoder",
};

export const modernbertDecoder: Family = {
  modelType: "modernbert-decoder",
  summary: "Ettin's decoders: 17M to 1B",
  traits:
    "ModernBERT's blocks, in which no token sees later ones: rotated heads and gated feed-forward parts; two layers of three see half of `local_attention` tokens back. A projection and a norm stand before the matrix of logits, which has biases.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const norm = layerNorm(c.rms_norm_eps, c.norm_bias);
    const layers = localBlocks(raw, c, norm, {
      causal: true,
      window: c.sliding_window ?? Math.floor(c.local_attention / 2),
      part: (options) => attentionPart(options, { prefix: "attn.", output: "Wo" }),
    });
    const head = isClassifier(raw) ? "head" : "lm_head";
    const predicting: Norm = (b, name, x) => {
      const options = { role: "other", bias: c.classifier_bias } as const;
      const dense = b.linear(`${head}.dense`, norm(b, name, x), c.hidden_size, options);
      return norm(b, `${head}.norm`, activationOf(c.classifier_activation)(dense));
    };
    return decoder(raw, c, layers, {
      ...plainEnds(predicting, NAMES),
      scaleEmbedding: (x, b) => norm(b, `${EMBEDDINGS}norm`, x),
      headBias: c.decoder_bias,
      classes: { name: "classifier", bias: c.classifier_bias },
    });
  },
};
