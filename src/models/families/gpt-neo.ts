/**
 * @file The GPT-Neo family: GPT-2's blocks with separate projections for queries, keys and values, unscaled scores, and layers
 * alternately with a window and without.
 *
 *   x = E[ids] + P[positions]      x ← x + Wo attention(norm(x))      x ← x + W₂ gelu(W₁ norm(x))
 *
 * Software: "GPT-Neo", doi:10.5281/zenodo.5297715; small models: "TinyStories", arXiv:2305.07759.
 */
import { z } from "zod";
import { layerNorm } from "../../nn/norms.ts";
import { unrotatedAttention } from "../../nn/self-attention.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import { attentionPart, plainMlpPart, preNormBlock } from "../blocks/decoder-blocks.ts";
import type { Family, Layer } from "../family.ts";
import { ACTIVATION } from "../config/activation-config.ts";
import { HEADS_DIVIDE_WIDTH, SIZE_FIELDS, parseConfig, unusable } from "../config/hf-config.ts";

const KIND = z.enum(["global", "local"]);
const SCHEMA = z
  .object({
    ...SIZE_FIELDS,
    intermediate_size: z.int().positive().nullish(),
    max_position_embeddings: z.int().positive().default(2048),
    hidden_act: ACTIVATION.default("gelu_new"),
    layer_norm_epsilon: z.number().positive().default(1e-5),
    tie_word_embeddings: z.boolean().default(true),
    /** Sequences of kinds of layers, and how often each is repeated. */
    attention_types: z.array(z.tuple([z.array(KIND), z.int().positive().max(10_000)])).nullish(),
    /** The kind of each layer; takes precedence if both are given. */
    attention_layers: z.array(KIND).nullish(),
    window_size: z.int().positive().default(256),
  })
  .refine(...HEADS_DIVIDE_WIDTH);

/** Names of these settings in its files. */
const KEYS = {
  num_hidden_layers: "num_layers",
  num_attention_heads: "num_heads",
  hidden_act: "activation_function",
};
const NAMES = {
  embedding: "transformer.wte",
  positions: "transformer.wpe",
  finalNorm: "transformer.ln_f",
  blocks: "transformer.h.",
  ignored: /\.attn\.attention\.(masked_)?bias$/,
};
const NORMS = { attention: "ln_1", mlp: "ln_2" };
const ATTENTION = { prefix: "attn.attention.", output: "out_proj" };
const MLP = { up: "mlp.c_fc", down: "mlp.c_proj" };

export const gptNeo: Family = {
  modelType: "gpt_neo",
  summary: "GPT-Neo, from 125M to 2.7B; TinyStories",
  traits:
    "GPT-2's blocks with separate projections for queries, keys and values, which have no biases; scores are not scaled; layers with and without a window take turns.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const { hidden_size: width, num_hidden_layers: depth } = c;
    const types = c.attention_types ?? [[["global", "local"], 12] as const];
    const repeated = types.flatMap(([each, times]) => Array.from({ length: times }, () => each).flat());
    const kinds = c.attention_layers ?? repeated;
    if (kinds.length !== depth)
      throw unusable(raw, `kinds of attention are of ${kinds.length} layers (expected num_layers, ${depth})`);
    const plain = unrotatedAttention(width, c.num_attention_heads);
    const attention = { ...plain, causal: true, scale: 1, bias: { qkv: false, output: true } };
    const mlp = plainMlpPart(MLP, { ...c, intermediate_size: c.intermediate_size ?? 4 * width }, true);
    const norm = layerNorm(c.layer_norm_epsilon);
    const layerOf = (window: number | null): Layer => {
      const attend = attentionPart({ ...attention, window }, ATTENTION);
      return preNormBlock(norm, attend, mlp, NORMS);
    };
    const layerOfKind = { global: layerOf(null), local: layerOf(c.window_size) };
    const layers = kinds.map((kind) => layerOfKind[kind]);
    return decoder(raw, c, layers, plainEnds(norm, NAMES));
  },
};
