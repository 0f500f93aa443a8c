/**
 * @file The StableLM family: Llama's blocks with layer norms and a rotated part of each head; large models have a norm on each head
 * and two branches that read the same input.
 *
 * Paper: "Stable LM 2 1.6B Technical Report", arXiv:2402.17834, section 3.
 */
import { z } from "zod";
import { layerNorm, normsByHead } from "../../nn/norms.ts";
import { withHeadNorms } from "../../nn/self-attention.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import {
  attentionPart,
  mlpPart,
  plainAttention,
  preNormBlock,
  repeat,
  sharedNormBlock,
  siluMlp,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { LAYER_NORMS, decoderGguf, flag } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  num_key_value_heads: z.int().positive().nullable().default(32),
  max_position_embeddings: z.int().positive().default(4096),
  partial_rotary_factor: z.number().positive().default(0.25),
  use_qkv_bias: z.boolean().default(false),
  qk_layernorm: z.boolean().default(false),
  use_parallel_residual: z.boolean().default(false),
});

/** Its files' name for the epsilon of norms. */
const KEYS = { rms_norm_eps: "layer_norm_eps" };

export const stablelm: Family = {
  modelType: "stablelm",
  summary: "StableLM 2 1.6B and 12B, StableLM 3B and Zephyr 3B",
  traits:
    "Llama's blocks with layer norms, a quarter of each head is rotated; with `qk_layernorm`, each head of queries and keys has a norm; with `use_parallel_residual`, attention and feed-forward part read the same norm.",
  gguf: decoderGguf({
    architecture: "stablelm",
    className: "StableLmForCausalLM",
    settings: { use_parallel_residual: flag("use_parallel_residual", false) },
    norms: LAYER_NORMS,
    blockNames: {
      headNorms: {
        attn_q_norm: "self_attn.q_layernorm.norms.*",
        attn_k_norm: "self_attn.k_layernorm.norms.*",
      },
    },
    changes: { attn_q_norm: "stacked", attn_k_norm: "stacked" },
    rotated: "first-columns",
    keys: KEYS,
    switches: {
      use_qkv_bias: "attn_q.bias",
      qk_layernorm: "attn_q_norm.weight",
      use_parallel_residual: "ffn_norm.weight",
    },
    // If there is a second norm, branches run one after another, whatever the setting: converters write true by default.
    complete: ({ use_parallel_residual: hasSecondNorm, ...config }) => ({
      ...config,
      use_parallel_residual: hasSecondNorm !== true,
    }),
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const plain = { ...plainAttention(raw, c), bias: { qkv: c.use_qkv_bias, output: false } };
    const norm = layerNorm(c.rms_norm_eps);
    const options = c.qk_layernorm ? withHeadNorms(plain, normsByHead(c.rms_norm_eps)) : plain;
    const attention = attentionPart(options, { queryNorm: "q_layernorm", keyNorm: "k_layernorm" });
    const block = c.use_parallel_residual ? sharedNormBlock : preNormBlock;
    return decoder(raw, c, repeat(block(norm, attention, mlpPart(siluMlp(c))), c), plainEnds(norm));
  },
};
