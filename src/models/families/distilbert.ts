/**
 * @file The DistilBERT family with a head over classes: BERT's blocks, half as many, without token types.
 *
 * Paper: "DistilBERT, a distilled version of BERT", arXiv:1910.01108, section 3.
 */
import { z } from "zod";
import { relu } from "../../graph/ops/pointwise/maximum.ts";
import { ENCODER_FIELDS, encoder } from "../blocks/encoder.ts";
import type { Family } from "../family.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z
  .object({
    ...ENCODER_FIELDS,
    vocab_size: z.int().positive().default(30_522),
    hidden_size: z.int().positive().default(768),
    num_hidden_layers: z.int().positive().default(6),
    num_attention_heads: z.int().positive().default(12),
    intermediate_size: z.int().positive().default(3072),
    layer_norm_eps: z.literal(1e-12).default(1e-12),
  })
  .refine(...HEADS_DIVIDE_WIDTH);

/** Names of these settings in its files. */
const KEYS = {
  hidden_size: "dim",
  num_hidden_layers: "n_layers",
  num_attention_heads: "n_heads",
  intermediate_size: "hidden_dim",
  hidden_act: "activation",
};
const NAMES = {
  blocks: "transformer.layer.",
  attention: { prefix: "attention.", query: "q_lin", key: "k_lin", value: "v_lin", output: "out_lin" },
  attentionNorm: "sa_layer_norm",
  mlp: { up: "ffn.lin1", down: "ffn.lin2" },
  mlpNorm: "output_layer_norm",
};

export const distilbert: Family = {
  modelType: "distilbert",
  summary: "DistilBERT for sequence classification",
  traits: "BERT's blocks without token types, and a head of two layers on the first token.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    return encoder(raw, c, {
      prefix: "distilbert",
      names: NAMES,
      types: "none",
      firstPosition: 0,
      // The head for masked words.
      ignored: /^vocab_(transform|layer_norm|projector)\./,
      head: { dense: "pre_classifier", activation: relu, output: "classifier" },
    });
  },
};
