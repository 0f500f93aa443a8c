/**
 * @file The Phi family, versions 1 to 2: layer norms, biases everywhere, a rotated part of each head, and two branches that read
 * the same norm.
 *
 *   h = norm(x)      x ← x + Wo attention(h) + W₂ gelu(W₁ h)      logits = Wh norm(x) + b
 *
 * Paper: "Textbooks Are All You Need II: phi-1.5", arXiv:2309.05463, section 2.1.
 */
import { z } from "zod";
import { layerNorm } from "../../nn/norms.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import {
  attentionPart,
  plainAttention,
  plainMlpPart,
  repeat,
  sharedNormBlock,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { ACTIVATION } from "../config/activation-config.ts";
import { BLOCK_NAMES, LAYER_NORMS, decoderGguf, mlpNames, FIRST_NORM } from "../config/decoder-gguf.ts";
import { DECODER_NAMES } from "../config/decoder-names.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  partial_rotary_factor: z.number().positive().default(0.5),
  hidden_act: ACTIVATION.default("gelu_new"),
  qk_layernorm: z.literal(false).default(false),
});

/** Its files' name for the epsilon of norms. */
const KEYS = { rms_norm_eps: "layer_norm_eps" };
const NAMES = { ...DECODER_NAMES, finalNorm: "model.final_layernorm" };
const OUTPUT = "dense";
const MLP = { up: "mlp.fc1", down: "mlp.fc2" };

export const phi: Family = {
  modelType: "phi",
  summary: "Phi-1, Phi-1.5 and Phi-2",
  traits:
    "Layer norms, biases everywhere, in the head too, a part of each head is rotated; attention and feed-forward part read the same norm.",
  gguf: decoderGguf({
    architecture: "phi2",
    className: "PhiForCausalLM",
    names: NAMES,
    blockNames: {
      preNorms: FIRST_NORM,
      attention: { ...BLOCK_NAMES.attention, attn_output: `self_attn.${OUTPUT}` },
      mlp: mlpNames(MLP),
    },
    norms: LAYER_NORMS,
    rotated: "first-columns",
    keys: KEYS,
    fixed: { hidden_act: "gelu_new" },
    switches: {},
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const attention = attentionPart(
      { ...plainAttention(raw, c), bias: { qkv: true, output: true } },
      { output: OUTPUT },
    );
    const norm = layerNorm(c.rms_norm_eps);
    const layer = sharedNormBlock(norm, attention, plainMlpPart(MLP, c, true));
    return decoder(raw, c, repeat(layer, c), { ...plainEnds(norm, NAMES), headBias: true });
  },
};
