/**
 * @file The DeBERTa family, versions 2 and 3, with a head over classes: BERT's blocks with attention by distances.
 *
 * Papers: "DeBERTa", arXiv:2006.03654; "DeBERTaV3", arXiv:2111.09543.
 */
import { z } from "zod";
import { DISTANCE_FIELDS, distanceParts, readsDistances } from "./deberta-v2/encoder.ts";
import { BERT_NAMES, ENCODER_FIELDS, encoder } from "../blocks/encoder.ts";
import type { Family } from "../family.ts";
import { ACTIVATION, activationOf } from "../config/activation-config.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const count = z.int().positive();
const SCHEMA = z
  .object({
    ...ENCODER_FIELDS,
    ...DISTANCE_FIELDS,
    vocab_size: count.default(128_100),
    embedding_size: count.nullish(),
    hidden_size: count.default(1536),
    num_hidden_layers: count.default(24),
    num_attention_heads: count.default(24),
    intermediate_size: count.default(6144),
    type_vocab_size: z.int().min(0).default(0),
    layer_norm_eps: z.number().positive().default(1e-7),
    position_biased_input: z.boolean().default(true),
    pooler_hidden_act: ACTIVATION.default("gelu"),
    pooler_hidden_size: count.nullish(),
    // Settings of dropout and of the head for masked words.
    pooler_dropout: z.number().optional(),
    cls_dropout: z.number().nullish(),
    legacy: z.boolean().optional(),
  })
  .refine(...HEADS_DIVIDE_WIDTH)
  .refine(({ hidden_size: width, pooler_hidden_size: pooled }) => (pooled ?? width) === width, {
    path: ["pooler_hidden_size"],
    message: "expected hidden_size",
  });

const PROJECTIONS = { query: "self.query_proj", key: "self.key_proj", value: "self.value_proj" };
const DISTANCES = {
  query: `attention.${PROJECTIONS.query}`,
  key: `attention.${PROJECTIONS.key}`,
  tableQuery: "attention.self.pos_query_proj",
  tableKey: "attention.self.pos_key_proj",
  table: "deberta.encoder.rel_embeddings",
  tableNorm: "deberta.encoder.LayerNorm",
  conv: "deberta.encoder.conv.conv",
  convNorm: "deberta.encoder.conv.LayerNorm",
};

export const debertaV2: Family = {
  modelType: "deberta-v2",
  summary: "DeBERTa v2 and v3 for sequence classification",
  traits:
    "BERT's blocks, with positions or without. Scores have terms of content and distance (`pos_att_type`) by a table that all blocks project, as queries and keys (`share_att_key`) or otherwise; a convolution over three tokens (`conv_kernel_size`) may stand beside the first block.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { hidden_size: width, embedding_size: embedded, position_biased_input: hasPositions } = c;
    const unread = [
      // Heads for masked words, and for replaced words.
      "cls|lm_predictions|mask_predictions",
      ...(hasPositions ? [] : ["deberta\\.embeddings\\.position_embeddings"]),
      ...(readsDistances(c) ? [] : ["deberta\\.encoder\\.(rel_embeddings|LayerNorm)"]),
    ];
    return encoder(raw, c, {
      prefix: "deberta",
      names: { ...BERT_NAMES, attention: { ...BERT_NAMES.attention, ...PROJECTIONS } },
      types: c.type_vocab_size > 0 ? "of-each" : "none",
      firstPosition: hasPositions ? 0 : null,
      embedding: { width: embedded ?? width, project: "embeddings.embed_proj", isNormed: false },
      ignored: new RegExp(`^(${unread.join("|")})\\.`),
      head: { dense: "pooler.dense", activation: activationOf(c.pooler_hidden_act), output: "classifier" },
      ...distanceParts(raw, c, DISTANCES),
    });
  },
};
