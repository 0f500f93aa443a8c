/**
 * @file The GLM-4 family of April 2025: GLM's blocks with norms also after the branches.
 *
 * Report: "ChatGLM: A Family of Large Language Models from GLM-130B to GLM-4 All Tools", arXiv:2406.12793.
 */
import { z } from "zod";
import { rmsNorm } from "../../nn/norms.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { normed, preNormBlock, repeat } from "../blocks/decoder-blocks.ts";
import { GLM_FIELDS, GLM_MLP_NAMES, glmParts } from "../blocks/glm.ts";
import type { Family } from "../family.ts";
import { decoderGguf } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object(GLM_FIELDS);

const BEHIND = { attention: "post_self_attn_layernorm", mlp: "post_mlp_layernorm" };

export const glm4: Family = {
  modelType: "glm4",
  summary: "GLM-4-0414 and GLM-Z1: 9B and 32B",
  traits:
    "Norms before and behind each branch, one projection for gate and up; half of each head is rotated, neighbouring columns together.",
  inTransformersJs: false,
  gguf: decoderGguf({
    architecture: "glm4",
    className: "Glm4ForCausalLM",
    blockNames: {
      mlp: GLM_MLP_NAMES,
      postNorms: { post_attention_norm: BEHIND.attention, post_ffw_norm: BEHIND.mlp },
    },
    rotated: "first-columns",
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const norm = rmsNorm(c.rms_norm_eps);
    const { attention, mlp } = glmParts(raw, c);
    const layer = preNormBlock(
      norm,
      normed(norm, BEHIND.attention, attention),
      normed(norm, BEHIND.mlp, mlp),
    );
    return plainDecoder(raw, c, repeat(layer, c));
  },
};
