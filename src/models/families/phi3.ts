/**
 * @file The Phi-3 and Phi-4-mini families: one projection for queries, keys and values, one for gate and up; a part of
 * each head is rotated.
 *
 * Paper: "Phi-3 Technical Report", arXiv:2404.14219, section 2.
 */
import { z } from "zod";
import { fusedMlp } from "../../nn/gated-mlp.ts";
import { rmsNorm } from "../../nn/norms.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import {
  type Transform,
  fusedPart,
  plainAttention,
  preNormBlock,
  repeat,
  siluMlp,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { count, decoderGguf, fusedNames, mlpNames } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  max_position_embeddings: z.int().positive().default(4096),
  rms_norm_eps: z.number().positive().default(1e-5),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
  lm_head_bias: z.literal(false).default(false),
  // Settings of Phi-4 mini's own code: every layer attends to all tokens, with unscaled positions.
  full_attn_mod: z.literal(1).default(1),
  interpolate_factor: z.literal(1).default(1),
  sliding_window: z.int().positive().nullish(),
  partial_rotary_factor: z.number().positive().default(1),
  original_max_position_embeddings: z.int().positive().nullish(),
});

/** The special tokens that do not absorb the spaces after them. */
const WITHOUT_STRIP = ["<unk>", "<s>", "<|endoftext|>"];

const MLP = { gateUp: "mlp.gate_up_proj", down: "mlp.down_proj" };
const ATTENTION = { qkv: "self_attn.qkv_proj", output: "self_attn.o_proj" };

export const phi3: Family = {
  modelType: "phi3",
  summary: "Phi-3 and Phi-4 mini",
  traits:
    "One projection for queries, keys and values and one for gate and up; part of each head is rotated where `partial_rotary_factor` says so; long-context (longrope) rotation, by the length of each text; a text that outgrows the original length is computed anew.",
  gguf: decoderGguf({
    architecture: "phi3",
    className: "Phi3ForCausalLM",
    blockNames: { attention: fusedNames(ATTENTION), mlp: mlpNames({ up: MLP.gateUp, down: MLP.down }) },
    settings: {
      "attention.sliding_window": count("sliding_window", "left-out"),
      "rope.scaling.original_context_length": count("original_max_position_embeddings", "left-out"),
    },
    rotated: "first-columns",
    switches: {},
    // 0 means no window.
    complete: (config) => ({ ...config, sliding_window: config["sliding_window"] || null }),
    takesSpacesAfter: (token) => !WITHOUT_STRIP.includes(token),
    values: (settings) => ({ sliding_window: settings["sliding_window"] ?? 0 }),
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const attention = { ...plainAttention(raw, c), window: c.sliding_window ?? null };
    const attend = fusedPart(ATTENTION, attention);
    const mlp: Transform = (b, x) => fusedMlp(b, x, MLP, siluMlp(c));
    return plainDecoder(raw, c, repeat(preNormBlock(rmsNorm(c.rms_norm_eps), attend, mlp), c));
  },
};
