/**
 * @file What the GLM families share: one projection for gate and up, and rotation of half of each head, in neighbouring pairs.
 *
 *   x ← x + attention(norm(x))      x ← x + Wdown (silu(g) ∘ u), [g | u] = Wgate-up norm(x)
 */
import { z } from "zod";
import { fusedMlp } from "../../nn/gated-mlp.ts";
import {
  type Transform,
  attentionPart,
  plainAttention,
  rotatingNeighbours,
  siluMlp,
} from "./decoder-blocks.ts";
import type { RawConfig } from "../family.ts";
import { mlpNames } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS } from "../config/hf-config.ts";

/** Settings of both families. */
export const GLM_FIELDS = {
  ...DECODER_FIELDS,
  num_key_value_heads: z.int().positive().default(2),
  head_dim: z.int().positive().default(128),
  rms_norm_eps: z.number().positive().default(1.5625e-7),
  max_position_embeddings: z.int().positive().default(131_072),
  partial_rotary_factor: z.number().positive().default(0.5),
  attention_bias: z.boolean().default(true),
};
const FIELDS = z.object(GLM_FIELDS);

const MLP = { gateUp: "mlp.gate_up_proj", down: "mlp.down_proj" };

/** The feed-forward part in GGUF files. */
export const GLM_MLP_NAMES = mlpNames({ up: MLP.gateUp, down: MLP.down });

/** Attention and feed-forward part of a block. */
export function glmParts(
  raw: RawConfig,
  c: z.output<typeof FIELDS>,
): { readonly attention: Transform; readonly mlp: Transform } {
  const bias = { qkv: c.attention_bias, output: false };
  return {
    attention: attentionPart({ ...rotatingNeighbours(plainAttention(raw, c)), bias }),
    mlp: (b, x) => fusedMlp(b, x, MLP, siluMlp(c)),
  };
}
