/**
 * @file The GPT-NeoX family: layer norms, biases, a rotated part of each head, and two branches that read the same input.
 *
 *   x ← x + Wo attention(norm₁(x) Wqkv) + W₂ gelu(W₁ norm₂(x))
 *
 * Papers: "GPT-NeoX-20B", arXiv:2204.06745; "Pythia", arXiv:2304.01373.
 */
import { z } from "zod";
import { layerNorm } from "../../nn/norms.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import {
  fusedPart,
  parallelBlock,
  plainAttention,
  plainMlpPart,
  preNormBlock,
  repeat,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { ACTIVATION } from "../config/activation-config.ts";
import { LAYER_NORMS, decoderGguf, flag, fusedNames, mlpNames } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  partial_rotary_factor: z.number().positive().default(0.25),
  attention_bias: z.boolean().default(true),
  use_parallel_residual: z.boolean().default(true),
  hidden_act: ACTIVATION.default("gelu"),
});

/** Names of these settings in its files. */
const KEYS = {
  rms_norm_eps: "layer_norm_eps",
  rope_theta: "rotary_emb_base",
  partial_rotary_factor: "rotary_pct",
};
const NAMES = {
  embedding: "gpt_neox.embed_in",
  finalNorm: "gpt_neox.final_layer_norm",
  blocks: "gpt_neox.layers.",
  head: "embed_out",
  headInClass: "lm_head",
  ignored: /\.attention\.(masked_)?bias$|rotary_emb\.inv_freq$/,
};
const ATTENTION = { qkv: "attention.query_key_value", output: "attention.dense", isByHead: true };
const MLP = { up: "mlp.dense_h_to_4h", down: "mlp.dense_4h_to_h" };

export const gptNeox: Family = {
  modelType: "gpt_neox",
  summary: "Pythia, GPT-NeoX-20B, Dolly 2, RedPajama-INCITE",
  traits:
    "Layer norms, biases everywhere, one projection for queries, keys and values, a quarter of each head is rotated; attention and feed-forward part both read the input of the block, unless `use_parallel_residual` is false.",
  gguf: decoderGguf({
    architecture: "gptneox",
    className: "GPTNeoXForCausalLM",
    names: NAMES,
    blockNames: { attention: fusedNames(ATTENTION), mlp: mlpNames(MLP) },
    changes: { attn_qkv: "qkv-rows" },
    settings: { use_parallel_residual: flag("use_parallel_residual", true) },
    norms: LAYER_NORMS,
    rotated: "first-columns",
    keys: KEYS,
    fixed: { hidden_act: "gelu" },
    switches: { attention_bias: "attn_qkv.bias" },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const attention = plainAttention(raw, { ...c, num_key_value_heads: null });
    const norm = layerNorm(c.rms_norm_eps);
    const block = c.use_parallel_residual ? parallelBlock : preNormBlock;
    const layer = block(norm, fusedPart(ATTENTION, attention), plainMlpPart(MLP, c, true));
    return decoder(raw, c, repeat(layer, c), plainEnds(norm, NAMES));
  },
};
