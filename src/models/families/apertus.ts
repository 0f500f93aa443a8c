/**
 * @file The Apertus family: Llama's blocks with a norm on each head of queries and keys, and xIELU without a gate.
 *
 * Report: "Apertus: Democratizing Open and Compliant LLMs for Global Language Environments", arXiv:2509.14233, section 2.
 */
import { z } from "zod";
import { headNorm, rmsNorm } from "../../nn/norms.ts";
import { plainMlp } from "../../nn/plain-mlp.ts";
import { withHeadNorms } from "../../nn/self-attention.ts";
import { XIELU_TENSORS, xielu } from "../../nn/xielu.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { attentionPart, plainAttention, preNormBlock, repeat } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { BLOCK_NAMES, decoderGguf, mlpNames, preNormNames } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(65_536),
  attention_bias: z.boolean().default(false),
  hidden_act: z.literal("xielu").default("xielu"),
  // Settings of the code that trained the models, the same for all of them; transformers ignores these.
  mlp_bias: z.literal(false).default(false),
  qk_norm: z.literal(true).nullish(),
  post_norm: z.literal(false).nullish(),
});

/** The rotation for files without rotary settings, even if they name a base. */
const ROTATION = {
  rope_type: "llama3",
  rope_theta: 12_000_000,
  factor: 8,
  original_max_position_embeddings: 8192,
  low_freq_factor: 1,
  high_freq_factor: 4,
};
const NORMS = { attention: "attention_layernorm", mlp: "feedforward_layernorm" };
const MLP = { up: "mlp.up_proj", down: "mlp.down_proj" };
const ACTIVATION = "mlp.act_fn.";

export const apertus: Family = {
  modelType: "apertus",
  summary: "Apertus: 8B and 70B",
  traits:
    "Llama's blocks with a norm on each head of queries and keys; a feed-forward part without a gate, whose activation (xIELU) has two numbers of its own in each layer.",
  autoClasses: { "sequence-classification": null },
  gguf: decoderGguf({
    architecture: "apertus",
    className: "ApertusForCausalLM",
    blockNames: { preNorms: preNormNames(NORMS), headNorms: BLOCK_NAMES.headNorms, mlp: mlpNames(MLP) },
    tensorsInSettings: Object.fromEntries(
      Object.entries(XIELU_TENSORS).map(([name, shape]) => [
        `xielu.${name}`,
        { path: ACTIVATION + name, shape },
      ]),
    ),
    fixed: { hidden_act: "xielu" },
    complete: (config) => ({ rope_scaling: { rope_type: "default" }, ...config }),
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const given = c.rope_scaling ?? c.rope_parameters ?? ROTATION;
    const plain = plainAttention(
      { ...raw, rope_scaling: given },
      { ...c, rope_theta: c.rope_theta ?? ROTATION.rope_theta },
    );
    const norm = rmsNorm(c.rms_norm_eps);
    const attention = withHeadNorms(plain, headNorm(norm));
    const mlp = { intermediateSize: c.intermediate_size, bias: c.mlp_bias };
    const layer = preNormBlock(
      norm,
      attentionPart(attention),
      (b, x) => plainMlp(b, x, MLP, { ...mlp, activation: (inner) => xielu(b, ACTIVATION, inner) }),
      NORMS,
    );
    return plainDecoder(raw, c, repeat(layer, c));
  },
};
