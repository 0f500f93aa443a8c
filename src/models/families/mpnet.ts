/**
 * @file The MPNet family with a head over classes: BERT's blocks, with a number for each distance and head added to the scores.
 *
 * Paper: "MPNet: Masked and Permuted Pre-training for Language Understanding", arXiv:2004.09297.
 */
import { z } from "zod";
import { tanh } from "../../graph/ops/pointwise/elementwise.ts";
import { headBias } from "../../nn/distance-bias.ts";
import { halvedRows } from "../../nn/log-buckets.ts";
import { BERT_NAMES, ENCODER_FIELDS, encoder } from "../blocks/encoder.ts";
import type { Family } from "../family.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

/** Number of rows for distances, and the distance beyond which all share one. */
const [NUM_BUCKETS, LIMIT] = [32, 128];

const SCHEMA = z
  .object({
    ...ENCODER_FIELDS,
    vocab_size: z.int().positive().default(30_527),
    hidden_size: z.int().positive().default(768),
    num_hidden_layers: z.int().positive().default(12),
    num_attention_heads: z.int().positive().default(12),
    intermediate_size: z.int().positive().default(3072),
    relative_attention_num_buckets: z.int().min(NUM_BUCKETS).default(NUM_BUCKETS),
    type_vocab_size: z.literal(1).default(1),
  })
  .refine(...HEADS_DIVIDE_WIDTH);

const NAMES = {
  ...BERT_NAMES,
  attention: { prefix: "attention.attn.", query: "q", key: "k", value: "v", output: "o" },
  attentionNorm: "attention.LayerNorm",
};

export const mpnet: Family = {
  modelType: "mpnet",
  summary: "MPNet for sequence classification",
  traits:
    "BERT's blocks without token types. Scores have a number for each distance and head, of a table that all blocks read; a head of two layers on the first token.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { relative_attention_num_buckets: numRows, num_attention_heads: numHeads } = c;
    const table = "/mpnet.encoder.relative_attention_bias";
    return encoder(raw, c, {
      prefix: "mpnet",
      names: NAMES,
      types: "none",
      // Padding has row 1, whatever the id of its token.
      firstPosition: 2,
      scores: { biasOf: headBias(halvedRows(NUM_BUCKETS, LIMIT), table, [numRows, numHeads]) },
      // The head for masked words, and a pooler for embeddings of sentences.
      ignored: /^(lm_head|(mpnet\.)?pooler)\./,
      head: { dense: "classifier.dense", activation: tanh, output: "classifier.out_proj" },
    });
  },
};
