/**
 * @file What Granite's decoders have in common: Llama's blocks with factors on what is embedded, on scores, on what branches add,
 * and on logits.
 *
 *   x = m_e E[ids]      x ← x + m_r attention(norm(x))      x ← x + m_r mlp(norm(x))      logits = head(norm(x)) / s
 *
 * Models: "Granite 3.0 Language Models", IBM, 2024. The factors are those of "Tensor Programs V", arXiv:2203.03466.
 */
import { z } from "zod";
import { rmsNorm } from "../../nn/norms.ts";
import { scale } from "../../nn/scale.ts";
import type { SelfAttentionOptions } from "../../nn/self-attention.ts";
import { DECODER_FIELDS } from "../config/hf-config.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { decoder, plainEnds } from "./decoder.ts";
import { type Transform, attentionPart, preNormBlock } from "./decoder-blocks.ts";

const FACTOR = z.number().positive().default(1);

/** Settings that all of them have. */
export const GRANITE_FIELDS = {
  ...DECODER_FIELDS,
  embedding_multiplier: FACTOR,
  attention_multiplier: FACTOR,
  residual_multiplier: FACTOR,
  logits_scaling: FACTOR,
};

type GraniteFields = z.output<z.ZodObject<typeof GRANITE_FIELDS>>;

/** Attention whose scores have their factor. */
export function graniteAttention(c: GraniteFields, attention: SelfAttentionOptions): Transform {
  return attentionPart({ ...attention, scale: c.attention_multiplier });
}

/** A block of attention, or what stands in its place, and a feed-forward part; what they add has its factor. */
export function graniteBlock(c: GraniteFields, mixer: Transform, mlp: Transform): Layer {
  const scaled =
    (part: Transform): Transform =>
    (b, x) =>
      scale(part(b, x), c.residual_multiplier);
  return preNormBlock(rmsNorm(c.rms_norm_eps), scaled(mixer), scaled(mlp));
}

/** Puts one together of its blocks. */
export function graniteDecoder(raw: RawConfig, c: GraniteFields, layers: readonly Layer[]): ModelDefinition {
  return decoder(raw, c, layers, {
    ...plainEnds(rmsNorm(c.rms_norm_eps)),
    scaleEmbedding: (x) => scale(x, c.embedding_multiplier),
    capLogits: (logits) => scale(logits, 1 / c.logits_scaling),
  });
}
