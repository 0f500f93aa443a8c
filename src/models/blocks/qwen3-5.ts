/**
 * @file What Qwen 3.5's models have in common, with or without experts: gated delta nets in three of four layers, gated attention
 * with head norms in the others.
 *
 * The delta nets: arXiv:2412.06464. Gated attention: "Gated Attention for Large Language Models", arXiv:2505.06708.
 */
import { z } from "zod";
import { gatedDeltaNet } from "../../nn/gated-delta-net.ts";
import { headNorm, rmsNormPlusOne } from "../../nn/norms.ts";
import { withHeadNorms } from "../../nn/self-attention.ts";
import { MAX_HEAD_WIDTH, MAX_TAPS } from "../../untrusted/limits.ts";
import { peftTakesNoExperts, withoutTensors } from "../config/checkpoint-rules.ts";
import { DECODER_FIELDS, unusable } from "../config/hf-config.ts";
import { requireTypesOfAll } from "../config/layer-types.ts";
import { QWEN3_5_MLX, hasDeltaNet } from "../config/qwen3-5-files.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { decoder, plainEnds } from "./decoder.ts";
import { type Transform, attentionPart, plainAttention, preNormBlock } from "./decoder-blocks.ts";

const size = z.int().positive();
/** Ignored settings: heads that predict further tokens, which files may hold too, and the type of states. */
const UNUSED = z.unknown().optional();

export const QWEN3_5_FIELDS = {
  ...DECODER_FIELDS,
  num_key_value_heads: size.default(4),
  head_dim: size.default(256),
  max_position_embeddings: size.default(32_768),
  partial_rotary_factor: z.number().positive().default(0.25),
  attention_bias: z.boolean().default(false),
  attn_output_gate: z.literal(true).default(true),
  layer_types: z.array(z.enum(["linear_attention", "full_attention"])).nullish(),
  full_attention_interval: size.default(4),
  linear_conv_kernel_dim: z.int().min(2).max(MAX_TAPS).default(4),
  linear_key_head_dim: size.max(MAX_HEAD_WIDTH).default(128),
  linear_value_head_dim: size.max(MAX_HEAD_WIDTH).default(128),
  linear_num_key_heads: size.default(16),
  linear_num_value_heads: size.default(32),
  mlp_only_layers: z.array(z.never()).nullish(),
  mtp_num_hidden_layers: UNUSED,
  mtp_use_dedicated_embeddings: UNUSED,
  mamba_ssm_dtype: UNUSED,
  output_gate_type: z.enum(["silu", "swish"]).nullish(),
};

type Qwen35Fields = z.output<z.ZodObject<typeof QWEN3_5_FIELDS>>;

/** Assembles a decoder with this feed-forward part. @throws UsageError "usage/model" */
export function qwen35Decoder(raw: RawConfig, c: Qwen35Fields, mlp: Transform): ModelDefinition {
  requireTypesOfAll(raw, c);
  const { num_hidden_layers: numLayers, rms_norm_eps: epsilon } = c;
  const [numKeyHeads, numValueHeads] = [c.linear_num_key_heads, c.linear_num_value_heads];
  if (numValueHeads % numKeyHeads !== 0)
    throw unusable(raw, `linear_num_key_heads is ${numKeyHeads} (expected a divisor of ${numValueHeads})`);
  const [keyWidth, valueWidth] = [c.linear_key_head_dim, c.linear_value_head_dim];
  const sizes = { numKeyHeads, numValueHeads, keyWidth, valueWidth, numTaps: c.linear_conv_kernel_dim };
  const norm = rmsNormPlusOne(epsilon);
  const attention = withHeadNorms(plainAttention(raw, c), headNorm(norm));
  const block = (part: Transform): Layer => preNormBlock(norm, part, mlp);
  const full = block(attentionPart({ ...attention, isGated: true }));
  const linear = block((b, x) => gatedDeltaNet(b, x, "linear_attn.", { ...sizes, epsilon }));
  const layers = Array.from({ length: numLayers }, (_, layer) => (hasDeltaNet(c, layer) ? linear : full));
  const ends = plainEnds(norm);
  const rules = { ...ends.checkpoint, mlx: QWEN3_5_MLX, peftTakes: peftTakesNoExperts };
  const checkpoint = withoutTensors(rules, /^mtp\./);
  return decoder(raw, c, layers, { ...ends, checkpoint });
}
