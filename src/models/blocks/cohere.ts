/**
 * @file What the Cohere families share: one layer norm per block, without biases, rotation of neighbouring pairs, and scaled logits.
 *
 *   h = norm(x)      x ← x + attention(h) + mlp(h)      logits = s head(norm(x))
 */
import { z } from "zod";
import { type Norm, layerNorm } from "../../nn/norms.ts";
import { scale } from "../../nn/scale.ts";
import type { SelfAttentionOptions } from "../../nn/self-attention.ts";
import { decoder, plainEnds } from "./decoder.ts";
import {
  attentionPart,
  mlpPart,
  plainAttention,
  rotatingNeighbours,
  sharedNormBlock,
  siluMlp,
} from "./decoder-blocks.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { DECODER_FIELDS, type DecoderFields } from "../config/hf-config.ts";

/** Settings of both families. */
export const COHERE_FIELDS = {
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(8192),
  tie_word_embeddings: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
  logit_scale: z.number().positive().default(0.0625),
};

/** Names of settings in their files that differ. */
export const COHERE_KEYS = { rms_norm_eps: "layer_norm_eps" };

type CohereFields = DecoderFields & { readonly logit_scale: number };

/** Without biases. */
const normOf = (c: CohereFields): Norm => layerNorm(c.rms_norm_eps, false);

/** Attention over all keys. */
export function cohereAttention(raw: RawConfig, c: CohereFields): SelfAttentionOptions {
  return rotatingNeighbours(plainAttention(raw, c));
}

/** A block with this attention. */
export function cohereBlock(c: CohereFields, attention: SelfAttentionOptions): Layer {
  return sharedNormBlock(normOf(c), attentionPart(attention), mlpPart(siluMlp(c)));
}

/** Puts the blocks together. */
export function cohereDecoder(raw: RawConfig, c: CohereFields, layers: readonly Layer[]): ModelDefinition {
  return decoder(raw, c, layers, {
    ...plainEnds(normOf(c)),
    capLogits: (logits) => scale(logits, c.logit_scale),
  });
}
