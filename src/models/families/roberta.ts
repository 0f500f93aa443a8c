/**
 * @file The RoBERTa family with a head over classes; its positions begin after that of padding.
 *
 * Paper: "RoBERTa", arXiv:1907.11692.
 */
import { z } from "zod";
import { tanh } from "../../graph/ops/pointwise/elementwise.ts";
import { BERT_NAMES, ENCODER_FIELDS, encoder } from "../blocks/encoder.ts";
import type { Family } from "../family.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z
  .object({ ...ENCODER_FIELDS, pad_token_id: z.int().min(0).nullable().default(1) })
  .refine(...HEADS_DIVIDE_WIDTH);

export const roberta: Family = {
  modelType: "roberta",
  summary: "RoBERTa for sequence classification",
  traits:
    "BERT's blocks with positions that begin after that of padding, and a head of two layers on the first token.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    return encoder(raw, c, {
      prefix: "roberta",
      names: BERT_NAMES,
      // Its tokenizers give both texts of a pair the first type, even if a file has two types.
      types: "of-first",
      firstPosition: (c.pad_token_id ?? 0) + 1,
      // The head for masked words, and BERT's pooler, which early files have.
      ignored: /^(lm_head|(roberta\.)?pooler)\./,
      head: { dense: "classifier.dense", activation: tanh, output: "classifier.out_proj" },
    });
  },
};
