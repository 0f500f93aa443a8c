/** @file The BERT family with a head over classes, which reads the pooled first token. Paper: arXiv:1810.04805. */
import { z } from "zod";
import { tanh } from "../../graph/ops/pointwise/elementwise.ts";
import { BERT_NAMES, ENCODER_FIELDS, encoder } from "../blocks/encoder.ts";
import type { Family } from "../family.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object(ENCODER_FIELDS).refine(...HEADS_DIVIDE_WIDTH);

export const bert: Family = {
  modelType: "bert",
  summary: "BERT for sequence classification",
  traits:
    "An encoder: attention without a mask, norms behind the branches, learned positions and token types. The class is read from the pooled first token.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    return encoder(raw, c, {
      prefix: "bert",
      names: BERT_NAMES,
      types: "of-each",
      firstPosition: 0,
      // Heads for masked words and for next sentences.
      ignored: /^cls\./,
      head: { dense: "bert.pooler.dense", activation: tanh, output: "classifier" },
    });
  },
};
