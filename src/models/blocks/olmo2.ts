/**
 * @file What OLMo 2 and 3 share: norms after the branches instead of before them, and norms of queries and keys over all heads together.
 *
 *   x ← x + norm(attention(x))      x ← x + norm(mlp(x))
 *
 * Paper: "2 OLMo 2 Furious", arXiv:2501.00656, section 3.
 */
import { z } from "zod";
import { rmsNorm } from "../../nn/norms.ts";
import type { SelfAttentionOptions } from "../../nn/self-attention.ts";
import type { Layer } from "../family.ts";
import { DECODER_FIELDS, type DecoderFields } from "../config/hf-config.ts";
import { attentionPart, mlpPart, postNormBlock, siluMlp } from "./decoder-blocks.ts";

/** Settings of both families. */
export const OLMO2_FIELDS = {
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  attention_bias: z.boolean().default(false),
};

/** A block with this attention, with norms of queries and keys added. */
export function olmo2Block(c: DecoderFields, attention: SelfAttentionOptions): Layer {
  const norm = rmsNorm(c.rms_norm_eps);
  const normed = attentionPart({ ...attention, queryNorm: norm, keyNorm: norm });
  return postNormBlock(norm, normed, mlpPart(siluMlp(c)));
}
