/**
 * @file The RoBERTa family with a head over classes; its positions begin behind the padding's.
 *
 * Paper: "RoBERTa", arXiv:1907.11692.
 */
import { z } from "zod";
import { tanh } from "../../graph/ops/pointwise/elementwise.ts";
import { positionsFrom } from "../../nn/positions.ts";
import { BERT_NAMES, ENCODER_FIELDS, encoder } from "../blocks/encoder.ts";
import type { Family } from "../family.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z
  .object({
    ...ENCODER_FIELDS,
    pad_token_id: z.int().min(0).nullable().default(1),
  })
  .refine(...HEADS_DIVIDE_WIDTH);

export const roberta: Family = {
  modelType: "roberta",
  summary: "RoBERTa for sequence classification",
  traits:
    "BERT's blocks with positions that begin behind the padding's, and a head of two layers on the first token.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { hidden_size: width, max_position_embeddings: numRows } = c;
    const first = (c.pad_token_id ?? 0) + 1;
    return encoder(raw, c, {
      prefix: "roberta",
      names: BERT_NAMES,
      hasTypes: true,
      maxPositions: numRows - first,
      // Heads for masked words, and BERT's pooler, which the first files still have.
      ignored: /^(lm_head|(roberta\.)?pooler)\./,
      positions: (b) => positionsFrom(b, "roberta.embeddings.position_embeddings", first, [numRows, width]),
      head: (b, x, numClasses) => {
        const inner = tanh(b.linear("classifier.dense", x, width, { role: "other", bias: true }));
        return b.linear("classifier.out_proj", inner, numClasses, { role: "head", bias: true });
      },
    });
  },
};
