/**
 * @file The ELECTRA family with a head over classes: BERT's blocks after tables that may be narrower, trained to find replaced
 * words.
 *
 * Paper: "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators", arXiv:2003.10555.
 */
import { z } from "zod";
import { gelu } from "../../graph/ops/pointwise/gelu.ts";
import { BERT_NAMES, ENCODER_FIELDS, encoder } from "../blocks/encoder.ts";
import type { Family } from "../family.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z
  .object({
    ...ENCODER_FIELDS,
    vocab_size: z.int().positive().default(30_522),
    embedding_size: z.int().positive().default(128),
    hidden_size: z.int().positive().default(256),
    num_hidden_layers: z.int().positive().default(12),
    num_attention_heads: z.int().positive().default(4),
    intermediate_size: z.int().positive().default(1024),
    // A setting of heads for other tasks.
    summary_last_dropout: z.number().optional(),
  })
  .refine(...HEADS_DIVIDE_WIDTH);

export const electra: Family = {
  modelType: "electra",
  summary: "ELECTRA for sequence classification",
  traits:
    "BERT's blocks behind tables of `embedding_size`, projected to the model's width, and a head of two layers on the first token.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    return encoder(raw, c, {
      prefix: "electra",
      names: BERT_NAMES,
      types: "of-each",
      firstPosition: 0,
      embedding: { width: c.embedding_size, project: "embeddings_project", isNormed: true },
      // Heads that find replaced words, and the head of the generator.
      ignored: /^(discriminator_predictions|generator_predictions|generator_lm_head)\./,
      head: { dense: "classifier.dense", activation: gelu, output: "classifier.out_proj" },
    });
  },
};
