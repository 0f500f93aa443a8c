/** @file Configuration files of Gemma 4: heads and rotation of layers with a window, and of layers without. */
import { z } from "zod";
import type { RopeConfig } from "../../../nn/rope/rope-tables.ts";
import { DECODER_NAMES } from "../../config/decoder-names.ts";
import { readExperts } from "../../config/expert-config.ts";
import { DECODER_FIELDS, headSizes, unusable } from "../../config/hf-config.ts";
import type { RawConfig } from "../../config/raw-config.ts";
import { readRope } from "../../config/rope-config.ts";
import { WINDOW_FIELDS, windowedLayers } from "../../config/window-config.ts";

const size = z.int().positive();
/** Sizes that may be given for a single layer. */
const LAYER = z.strictObject({ head_dim: size.optional(), num_key_value_heads: size.optional() });

export const GEMMA4_FIELDS = {
  ...DECODER_FIELDS,
  tie_word_embeddings: z.boolean().default(true),
  num_key_value_heads: size.default(4),
  head_dim: size.default(256),
  max_position_embeddings: size.default(131_072),
  attention_bias: z.boolean().default(false),
  sliding_window: size.default(512),
  layer_types: WINDOW_FIELDS.layer_types,
  /** Sizes of heads of layers without a window, as in published files, or of each layer, as transformers writes them. */
  global_head_dim: size.default(512),
  num_global_key_value_heads: size.nullish(),
  per_layer_config: z.record(z.string(), LAYER).nullish(),
  /** Whether values are keys, in layers without a window. */
  attention_k_eq_v: z.boolean().default(false),
  final_logit_softcapping: z.number().positive().nullish(),
  hidden_activation: z.literal("gelu_pytorch_tanh").default("gelu_pytorch_tanh"),
  hidden_act: z.literal("gelu_pytorch_tanh").nullish(),
  // Applies only to the tokens of an image.
  use_bidirectional_attention: z.literal("vision").nullish(),
  /** Width of the embeddings for each layer; 0: there are none. */
  hidden_size_per_layer_input: z.int().min(0).nullable().default(256),
  vocab_size_per_layer_input: size.default(262_144),
  /** Number of last layers that read keys and values of an earlier one. */
  num_kv_shared_layers: z.int().min(0).default(0),
  /** Whether those layers have feed-forward parts of twice the width. */
  use_double_wide_mlp: z.boolean().default(false),
  /** Whether every layer has experts in parallel to its feed-forward part. */
  enable_moe_block: z.boolean().nullish(),
  num_experts: size.nullish(),
  num_experts_per_tok: size.nullish(),
  moe_intermediate_size: size.nullish(),
  // Rotation is given for each kind of layer, in `rope_parameters`.
  rope_theta: z.null().optional(),
};

/** Names of these settings in files. */
export const GEMMA4_KEYS = { num_experts_per_tok: "top_k_experts" };

/** Modules outside the blocks. */
export const GEMMA4_NAMES = {
  ...DECODER_NAMES,
  beside: [
    "model.embed_tokens_per_layer",
    "model.per_layer_model_projection",
    "model.per_layer_projection_norm",
  ],
} as const;

/** A parsed configuration. */
export type Gemma4Fields = z.output<z.ZodObject<typeof GEMMA4_FIELDS>>;

/** Default rotation of each kind of layer. */
const ROPES = {
  sliding_attention: { rope_type: "default", rope_theta: 10_000 },
  full_attention: { rope_type: "proportional", partial_rotary_factor: 0.25, rope_theta: 1_000_000 },
};
/** By default, one layer in this many has no window. */
const PERIOD = 6;

/** Whether each layer has a window; the last one never has. @throws UsageError "usage/model" */
export function gemma4Windows(raw: RawConfig, c: Gemma4Fields): readonly boolean[] {
  const windowed = windowedLayers(raw, c, (layer) => (layer + 1) % PERIOD !== 0);
  return [...windowed.slice(0, -1), false];
}

/** Sizes of heads of a kind of layer, and their rotation. */
export interface KindOfLayers extends ReturnType<typeof headSizes> {
  readonly rope: RopeConfig;
}

/** Reads both kinds of layers. @throws UsageError "usage/model" if layers of a kind differ */
export function gemma4Heads(
  raw: RawConfig,
  c: Gemma4Fields,
  windowed: readonly boolean[],
): { readonly full: KindOfLayers; readonly windowed: KindOfLayers } {
  const kind = (isWindowed: boolean): KindOfLayers => {
    const layers = [...windowed.keys()].filter((layer) => windowed[layer] === isWindowed);
    const sizes = headSizes(raw, { ...c, ...ownSizes(raw, c, isWindowed, layers) });
    const layerType = isWindowed ? "sliding_attention" : "full_attention";
    const rope = readRope({ ...raw, rope_parameters: raw["rope_parameters"] ?? ROPES }, sizes.headWidth, {
      layerType,
      theta: ROPES[layerType].rope_theta,
      maxPositions: c.max_position_embeddings,
      isScaled: !isWindowed,
    });
    return { ...sizes, rope };
  };
  return { full: kind(false), windowed: kind(true) };
}

/** Sizes of a kind of layer that replace the common ones. */
function ownSizes(
  raw: RawConfig,
  c: Gemma4Fields,
  isWindowed: boolean,
  layers: readonly number[],
): z.output<typeof LAYER> {
  // A list of layers, even an empty one, replaces the settings for layers without a window.
  if (c.per_layer_config === undefined) {
    const numShared = c.attention_k_eq_v ? c.num_global_key_value_heads : null;
    return isWindowed
      ? {}
      : { head_dim: c.global_head_dim, ...(numShared != null && { num_key_value_heads: numShared }) };
  }
  const byLayer = new Map(
    Object.entries(c.per_layer_config ?? {}).map(([layer, own]) => [Number(layer), own]),
  );
  const [first = {}, ...others] = layers.map((layer) => byLayer.get(layer) ?? {});
  const show = ({ head_dim: width, num_key_value_heads: num }: z.output<typeof LAYER>): string =>
    `${width ?? c.head_dim} ${num ?? c.num_key_value_heads}`;
  if (others.every((other) => show(other) === show(first))) return first;
  const kind = isWindowed ? "sliding_attention" : "full_attention";
  throw unusable(raw, `per_layer_config has unlike layers of ${kind} (expected the same heads in all)`);
}

/**
 * For each layer, the layer whose keys and values it reads: the last of its kind before those that share; null: its own.
 * @throws UsageError "usage/model" if there is no such layer
 */
export function gemma4Sharing(
  raw: RawConfig,
  c: Gemma4Fields,
  windowed: readonly boolean[],
): readonly (number | null)[] {
  const first = windowed.length - c.num_kv_shared_layers;
  return windowed.map((isWindowed, layer) => {
    if (layer < first) return null;
    const from = windowed.slice(0, Math.max(0, first)).lastIndexOf(isWindowed);
    if (from >= 0) return from;
    throw unusable(
      raw,
      `num_kv_shared_layers is ${c.num_kv_shared_layers} (expected fewer: a layer of each kind has keys of its own)`,
    );
  });
}

/** Number of experts of a layer, number that a token uses, and their width. */
export interface ExpertSizes extends ReturnType<typeof readExperts> {
  readonly width: number;
}

/** The experts of every layer; null: there are none. @throws UsageError "usage/model" if a size is missing */
export function gemma4Experts(raw: RawConfig, c: Gemma4Fields): ExpertSizes | null {
  if (!c.enable_moe_block) return null;
  const { num_experts, num_experts_per_tok, moe_intermediate_size: width } = c;
  if (num_experts != null && num_experts_per_tok != null && width != null)
    return { ...readExperts(raw, { num_experts, num_experts_per_tok }), width };
  throw unusable(
    raw,
    "enable_moe_block is true without num_experts, top_k_experts or moe_intermediate_size (expected all three)",
  );
}
