/** @file Settings for latent attention, and for the experts of models that have it. */
import { z } from "zod";
import { type ExpertGroups, type Router, sigmoidRouter } from "../../nn/routers.ts";
import type { LatentAttentionOptions } from "../../nn/latent-attention.ts";
import { yarnAttention } from "../../nn/rope/rope-scaling.ts";
import { MAX_HEAD_WIDTH } from "../../untrusted/limits.ts";
import { readExperts } from "./expert-config.ts";
import { DECODER_FIELDS, unusable } from "./hf-config.ts";
import type { RawConfig } from "./raw-config.ts";
import { readRope } from "./rope-config.ts";

const size = z.int().positive();
const width = size.max(MAX_HEAD_WIDTH);
const UNUSED = z.unknown().optional();

export const LATENT_FIELDS = {
  ...DECODER_FIELDS,
  attention_bias: z.boolean().default(false),
  q_lora_rank: size.nullable().default(1536),
  kv_lora_rank: size.default(512),
  qk_nope_head_dim: width.default(128),
  qk_rope_head_dim: width.default(64),
  v_head_dim: width.default(128),
  /** Redundant: the sum of two widths. */
  qk_head_dim: size.nullish(),
  n_routed_experts: size.default(64),
  n_shared_experts: size.default(1),
  num_experts_per_tok: size,
  moe_intermediate_size: size,
  routed_scaling_factor: z.number().positive().default(1),
  n_group: size.nullable().default(1),
  topk_group: size.nullable().default(1),
  moe_layer_freq: z.literal(1).nullish(),
  // Ignored: settings of training and of its distribution over machines.
  aux_loss_alpha: UNUSED,
  ep_size: UNUSED,
  seq_aux: UNUSED,
};

/** Settings of models whose checkpoints have layers that predict further tokens, and whose routers use a sigmoid. */
export const SIGMOID_FIELDS = {
  rope_interleave: z.boolean().default(true),
  norm_topk_prob: z.boolean().default(true),
  scoring_func: z.literal("sigmoid").nullish(),
  topk_method: z.literal("noaux_tc").nullish(),
  num_nextn_predict_layers: z.int().min(0).nullish(),
};

/** Parsed `LATENT_FIELDS`. */
export type LatentFields = z.output<z.ZodObject<typeof LATENT_FIELDS>>;

/** Base of the rotation if a configuration has none. */
const DEFAULT_BASE = 10_000;

/** Factor of YaRN on scores, in addition to its change of the tables. */
function stretchedScale(raw: RawConfig): number {
  const given = (raw["rope_scaling"] ?? raw["rope_parameters"] ?? {}) as RawConfig;
  const { mscale_all_dim: ofAll, factor } = given;
  const kind = given["rope_type"] ?? given["type"] ?? "default";
  return kind !== "default" && ofAll ? yarnAttention(Number(factor), Number(ofAll)) ** 2 : 1;
}

/** Returns the options of its layers. @throws UsageError "usage/model" for widths that contradict each other */
export function latentOptions(
  raw: RawConfig,
  c: LatentFields,
  { neighbours }: { readonly neighbours: boolean },
): LatentAttentionOptions {
  const { num_attention_heads: numHeads, qk_nope_head_dim: plainWidth, qk_rope_head_dim: rotatedWidth } = c;
  const said: readonly [keyof LatentFields, number][] = [
    ["num_key_value_heads", numHeads],
    ["head_dim", rotatedWidth],
    ["qk_head_dim", plainWidth + rotatedWidth],
  ];
  for (const [key, expected] of said) {
    if ((c[key] ?? expected) !== expected)
      throw unusable(raw, `${key} is ${String(c[key])} (expected ${expected}, as other settings say)`);
  }
  const { rope_theta: theta, max_position_embeddings: maxPositions } = c;
  const rope = readRope(raw, rotatedWidth, { theta: theta ?? DEFAULT_BASE, maxPositions });
  return {
    numHeads,
    queryRank: c.q_lora_rank,
    keyRank: c.kv_lora_rank,
    plainWidth,
    valueWidth: c.v_head_dim,
    rope: neighbours ? { ...rope, neighbours: true } : rope,
    scale: (plainWidth + rotatedWidth) ** -0.5 * stretchedScale(raw),
    bias: c.attention_bias,
  };
}

/** Reads the number of experts and of those chosen for a token. @throws UsageError "usage/model" */
export function latentExperts(raw: RawConfig, c: LatentFields): ReturnType<typeof readExperts> {
  return readExperts(raw, { ...c, num_experts: c.n_routed_experts });
}

/**
 * Reads the groups of experts, which are ranked by their `numBest` best. @throws UsageError "usage/model" for groups that do not
 * divide the experts
 */
export function expertGroups(raw: RawConfig, c: LatentFields, numBest: 1 | 2): ExpertGroups {
  const { n_routed_experts: numExperts, n_group: numGroups, topk_group: numChosen } = c;
  if (numGroups === null || numChosen === null || numChosen > numGroups)
    throw unusable(raw, `topk_group is ${numChosen} of n_group ${numGroups} (expected a part of them)`);
  const each = numExperts / numGroups;
  if (!Number.isInteger(each) || each < numBest || c.num_experts_per_tok > numChosen * each) {
    const expected = `groups of equally many experts, at least ${numBest}, of which ${numChosen} have enough`;
    throw unusable(raw, `n_group is ${numGroups} for n_routed_experts ${numExperts} (expected ${expected})`);
  }
  return { numGroups, numChosen, numBest };
}

/** A router with a sigmoid for each expert. @throws UsageError as `expertGroups` */
export function latentRouter(raw: RawConfig, c: LatentFields): Router {
  return sigmoidRouter({
    bias: "gate.e_score_correction_bias",
    floor: 1e-20,
    factor: c.routed_scaling_factor,
    groups: expertGroups(raw, c, 2),
  });
}
