/** @file The BERT family with a head over classes: the pooled first token tells the class. Paper: arXiv:1810.04805. */
import { z } from "zod";
import { tanh } from "../../graph/ops/pointwise/elementwise.ts";
import { POSITIONS } from "../../nn/pass.ts";
import { BERT_NAMES, ENCODER_FIELDS, encoder } from "../blocks/encoder.ts";
import type { Family } from "../family.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object(ENCODER_FIELDS).refine(...HEADS_DIVIDE_WIDTH);

export const bert: Family = {
  modelType: "bert",
  summary: "BERT for sequence classification",
  traits:
    "An encoder: attention without a mask, norms behind the branches, learned positions and token types. The pooled first token tells the class.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { hidden_size: width, max_position_embeddings: maxPositions } = c;
    return encoder(raw, c, {
      prefix: "bert",
      names: BERT_NAMES,
      hasTypes: true,
      maxPositions,
      // Heads for masked words and for next sentences.
      ignored: /^cls\./,
      positions: (b) =>
        b.lookUp("bert.embeddings.position_embeddings", b.input(POSITIONS), maxPositions, width),
      head: (b, x, numClasses) => {
        const pooled = tanh(b.linear("bert.pooler.dense", x, width, { role: "other", bias: true }));
        return b.linear("classifier", pooled, numClasses, { role: "head", bias: true });
      },
    });
  },
};
