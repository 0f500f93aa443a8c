/**
 * @file The GLM family: Llama's blocks with one projection for gate and up; half of each head is rotated, in pairs of neighbours.
 *
 * Report: "ChatGLM: A Family of Large Language Models from GLM-130B to GLM-4 All Tools", arXiv:2406.12793, section 2.
 */
import { z } from "zod";
import { rmsNorm } from "../../nn/norms.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { preNormBlock, repeat } from "../blocks/decoder-blocks.ts";
import { GLM_FIELDS, GLM_MLP_NAMES, glmParts } from "../blocks/glm.ts";
import type { Family } from "../family.ts";
import { decoderGguf } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object(GLM_FIELDS);

export const glm: Family = {
  modelType: "glm",
  summary: "GLM-4 9B in the form that transformers reads (`-hf`), GLM-Edge 1.5B and 4B",
  traits:
    "Llama's blocks with one projection for gate and up, and biases of queries, keys and values; half of each head is rotated, or all of it in GLM-Edge, neighbouring columns together.",
  gguf: decoderGguf({
    architecture: "chatglm",
    className: "GlmForCausalLM",
    blockNames: { mlp: GLM_MLP_NAMES },
    rotated: "first-columns",
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { attention, mlp } = glmParts(raw, c);
    return plainDecoder(raw, c, repeat(preNormBlock(rmsNorm(c.rms_norm_eps), attention, mlp), c));
  },
};
