/**
 * @file The nanochat family: norms without weights, also after the embedding and on each head of queries and keys, a feed-forward
 * part with a squared ReLU, heads that are rotated in the opposite direction, and capped logits.
 *
 *   x₀ = norm(E[ids])      x ← x + W₂ relu(W₁ norm(x))²      logits = c tanh(head(norm(x)) / c)
 *
 * Source: Andrej Karpathy, "nanochat", 2025.
 */
import { z } from "zod";
import { softCap } from "../../nn/attention.ts";
import { bareRmsNorm, headNorm } from "../../nn/norms.ts";
import { withHeadNorms } from "../../nn/self-attention.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import {
  attentionPart,
  plainAttention,
  plainMlpPart,
  preNormBlock,
  repeat,
  rotatingBackwards,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { ACTIVATION } from "../config/activation-config.ts";
import { OTHERWISE_IN_MLX } from "../config/checkpoint-rules.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  attention_bias: z.boolean().default(false),
  hidden_act: ACTIVATION.default("relu2"),
  final_logit_softcapping: z.number().positive().nullable().default(15),
});

const MLP = { up: "mlp.fc1", down: "mlp.fc2" };

export const nanochat: Family = {
  modelType: "nanochat",
  summary: "nanochat: d20 and d32",
  traits:
    "Norms without weights, behind the embedding and on rotated queries and keys too; heads are rotated in the opposite direction; a feed-forward part without a gate, with a squared ReLU; logits stay under a cap.",
  autoClasses: { "sequence-classification": null },
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { final_logit_softcapping: cap } = c;
    const norm = bareRmsNorm(c.rms_norm_eps);
    const plain = rotatingBackwards(plainAttention(raw, c));
    const attention = withHeadNorms(plain, headNorm(norm));
    const layer = preNormBlock(
      norm,
      attentionPart({ ...attention, comesRotated: true }),
      plainMlpPart(MLP, c, false),
    );
    const ends = plainEnds(norm);
    return decoder(raw, c, repeat(layer, c), {
      ...ends,
      checkpoint: { ...ends.checkpoint, mlx: OTHERWISE_IN_MLX },
      scaleEmbedding: (x, b) => norm(b, "", x),
      capLogits: (logits) => (cap === null ? logits : softCap(logits, cap)),
    });
  },
};
