/**
 * @file The Granite family: Llama's blocks with factors on what is embedded, on scores, on what branches add, and on logits.
 *
 *   x = m_e E[ids]      x ← x + m_r attention(norm(x))      x ← x + m_r mlp(norm(x))      logits = head(norm(x)) / s
 *
 * Models: "Granite 3.0 Language Models", IBM, 2024. The factors are those of "Tensor Programs V", arXiv:2203.03466.
 */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import { rmsNorm } from "../../nn/norms.ts";
import {
  type Transform,
  attentionPart,
  decoder,
  mlpPart,
  plainAttention,
  plainEnds,
  preNormBlock,
  repeat,
  siluMlp,
} from "../blocks/decoder.ts";
import type { Family } from "../family.ts";
import { BIAS_SWITCHES, decoderGguf, NEIGHBOUR_ROWS, real } from "../config/decoder-gguf.ts";
import { BIAS_FIELDS, DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const FACTOR = z.number().positive().default(1);
const SCHEMA = z.object({
  ...DECODER_FIELDS,
  ...BIAS_FIELDS,
  embedding_multiplier: FACTOR,
  attention_multiplier: FACTOR,
  residual_multiplier: FACTOR,
  logits_scaling: FACTOR,
});

const scale = (x: Value, factor: number): Value => (factor === 1 ? x : mul(x, x.graph.scalar(factor)));

export const granite: Family = {
  modelType: "granite",
  summary: "Granite 3 without experts: 2B and 8B",
  traits:
    "Llama's blocks with factors of the configuration on embeddings, attention scores, branches and logits.",
  gguf: decoderGguf({
    architecture: "granite",
    className: "GraniteForCausalLM",
    changes: NEIGHBOUR_ROWS,
    settings: {
      embedding_scale: real("embedding_multiplier", 1),
      "attention.scale": real("attention_multiplier", 1),
      residual_scale: real("residual_multiplier", 1),
      logit_scale: real("logits_scaling", 1),
    },
    switches: BIAS_SWITCHES,
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const attention = attentionPart({ ...plainAttention(raw, c), scale: c.attention_multiplier });
    const mlp = mlpPart(siluMlp(c));
    const scaled =
      (part: Transform): Transform =>
      (b, x) =>
        scale(part(b, x), c.residual_multiplier);
    const norm = rmsNorm(c.rms_norm_eps);
    const layer = preNormBlock(norm, scaled(attention), scaled(mlp));
    return decoder(raw, c, repeat(layer, c), {
      ...plainEnds(norm),
      scaleEmbedding: (x) => scale(x, c.embedding_multiplier),
      capLogits: (logits) => scale(logits, 1 / c.logits_scaling),
    });
  },
};
