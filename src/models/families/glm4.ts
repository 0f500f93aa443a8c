/**
 * @file The GLM-4 family of April 2025: Llama's blocks with norms behind the branches too, one projection for gate and up, and the
 * half of each head rotated, neighbours together.
 *
 * Report: "ChatGLM: A Family of Large Language Models from GLM-130B to GLM-4 All Tools", arXiv:2406.12793.
 */
import { z } from "zod";
import { fusedMlp } from "../../nn/gated-mlp.ts";
import { rmsNorm } from "../../nn/norms.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import {
  attentionPart,
  normed,
  plainAttention,
  preNormBlock,
  repeat,
  rotatingNeighbours,
  siluMlp,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { decoderGguf, mlpNames } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  num_key_value_heads: z.int().positive().default(2),
  head_dim: z.int().positive().default(128),
  rms_norm_eps: z.number().positive().default(1.5625e-7),
  max_position_embeddings: z.int().positive().default(131_072),
  partial_rotary_factor: z.number().positive().default(0.5),
  attention_bias: z.boolean().default(true),
});

const MLP = { gateUp: "mlp.gate_up_proj", down: "mlp.down_proj" };
const BEHIND = { attention: "post_self_attn_layernorm", mlp: "post_mlp_layernorm" };

export const glm4: Family = {
  modelType: "glm4",
  summary: "GLM-4-0414 and GLM-Z1: 9B and 32B",
  traits:
    "Norms before and behind each branch, one projection for gate and up; half of each head is rotated, neighbours together.",
  gguf: decoderGguf({
    architecture: "glm4",
    className: "Glm4ForCausalLM",
    blockNames: {
      mlp: mlpNames({ up: MLP.gateUp, down: MLP.down }),
      postNorms: { post_attention_norm: BEHIND.attention, post_ffw_norm: BEHIND.mlp },
    },
    rotated: "first-columns",
    complete: (config) => ({ partial_rotary_factor: 1, ...config }),
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const norm = rmsNorm(c.rms_norm_eps);
    const attention = attentionPart({
      ...rotatingNeighbours(plainAttention(raw, c)),
      bias: { qkv: c.attention_bias, output: false },
    });
    const layer = preNormBlock(
      norm,
      normed(norm, BEHIND.attention, attention),
      normed(norm, BEHIND.mlp, (b, x) => fusedMlp(b, x, MLP, siluMlp(c))),
    );
    return plainDecoder(raw, c, repeat(layer, c));
  },
};
