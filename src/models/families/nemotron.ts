/**
 * @file The Nemotron family: layer norms by 1 + w, a rotated part of each head, and a feed-forward part with a squared ReLU and no
 * gate.
 *
 *   x ← x + Wdown relu(Wup norm(x))²      norm(x) = (1 + w) (x - mean) / deviation + b
 *
 * Report: "Nemotron-4 15B Technical Report", arXiv:2402.16819, section 2.
 */
import { z } from "zod";
import { layerNormPlusOne } from "../../nn/norms.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import {
  attentionPart,
  plainAttention,
  plainMlpPart,
  preNormBlock,
  repeat,
} from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { ACTIVATION } from "../config/activation-config.ts";
import { BIAS_SWITCHES, LAYER_NORMS, decoderGguf, mlpNames } from "../config/decoder-gguf.ts";
import { BIAS_FIELDS, DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  ...BIAS_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(4096),
  partial_rotary_factor: z.number().positive().default(0.5),
  hidden_act: ACTIVATION.default("relu2"),
  // Settings of the code that trained the models; transformers ignores these.
  kv_channels: z.int().nullish(),
  rope_percent: z.number().nullish(),
});

/** Its files' name for the epsilon of norms. */
const KEYS = { rms_norm_eps: "norm_eps" };
const MLP = { up: "mlp.up_proj", down: "mlp.down_proj" };

export const nemotron: Family = {
  modelType: "nemotron",
  summary: "Nemotron-4 and Minitron: 4B, 8B and 15B",
  traits:
    "Layer norms whose weights count from one, a part of each head is rotated; a feed-forward part without a gate, with a squared ReLU.",
  inTransformersJs: false,
  gguf: decoderGguf({
    architecture: "nemotron",
    className: "NemotronForCausalLM",
    blockNames: { mlp: mlpNames(MLP) },
    changes: { attn_norm: "plus-one", ffn_norm: "plus-one", output_norm: "plus-one" },
    norms: LAYER_NORMS,
    rotated: "first-columns",
    keys: KEYS,
    fixed: { hidden_act: "relu2" },
    switches: BIAS_SWITCHES,
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const norm = layerNormPlusOne(c.rms_norm_eps);
    const mlp = plainMlpPart(MLP, c, c.mlp_bias);
    const layer = preNormBlock(norm, attentionPart(plainAttention(raw, c)), mlp);
    return decoder(raw, c, repeat(layer, c), plainEnds(norm));
  },
};
