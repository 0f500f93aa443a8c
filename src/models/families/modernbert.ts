/** @file The ModernBERT family with a head over classes of the first token, or of the mean of all. Paper: arXiv:2412.13663. */
import { z } from "zod";
import { layerNorm } from "../../nn/norms.ts";
import { LOCAL_ENCODER_FIELDS, localEncoderBlocks, meanLayer } from "../blocks/local-encoder.ts";
import { prefixedCheckpoint } from "../config/checkpoint-rules.ts";
import type { Family } from "../family.ts";
import { ACTIVATION, activationOf } from "../config/activation-config.ts";
import { requireClasses } from "../config/classifier-config.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z
  .object({
    ...LOCAL_ENCODER_FIELDS,
    norm_bias: z.boolean().default(false),
    classifier_pooling: z.enum(["cls", "mean"]).default("cls"),
    classifier_activation: ACTIVATION.default("gelu"),
    classifier_bias: z.boolean().default(false),
    // In the first files; transformers ignores them.
    layer_norm_eps: z.number().optional(),
    position_embedding_type: z.literal("absolute").optional(),
  })
  .refine(...HEADS_DIVIDE_WIDTH);

/** Names of these settings in its files. */
const KEYS = { rms_norm_eps: "norm_eps", hidden_act: "hidden_activation" };
const EMBEDDINGS = "model.embeddings.";
const FINAL_NORM = "final_norm";

export const modernbert: Family = {
  modelType: "modernbert",
  summary: "ModernBERT for sequence classification",
  traits:
    "An encoder with norms before the branches, rotated heads and gated feed-forward parts; two layers of three see `local_attention` tokens around each, with another rotary base. The class is read from the first token or the mean of all (`classifier_pooling`).",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const { hidden_size: width, vocab_size: vocabSize } = c;
    const numOutputs = requireClasses(raw);
    const norm = layerNorm(c.rms_norm_eps, c.norm_bias);
    const blocks = localEncoderBlocks(raw, c, norm);
    const takesMean = c.classifier_pooling === "mean";
    return {
      task: "sequence-classification",
      settings: c,
      width,
      numOutputs,
      vocabSize,
      image: null,
      maxPositions: c.max_position_embeddings,
      layers: takesMean ? [...blocks, meanLayer(norm, FINAL_NORM, c.num_attention_heads)] : blocks,
      blockPrefix: (layer) => (layer < blocks.length ? `model.layers.${layer}.` : "model."),
      stem: (b, ids) =>
        norm(b, `${EMBEDDINGS}norm`, b.lookUp(`${EMBEDDINGS}tok_embeddings`, ids, vocabSize, width)),
      head: (b, x) => {
        const read = takesMean ? x : norm(b, `model.${FINAL_NORM}`, x);
        const dense = b.linear("head.dense", read, width, { role: "other", bias: c.classifier_bias });
        const inner = norm(b, "head.norm", activationOf(c.classifier_activation)(dense));
        return b.linear("classifier", inner, numOutputs, { role: "head", bias: true });
      },
      classPosition: "first",
      // The head for masked words.
      checkpoint: prefixedCheckpoint("model.", /^(embeddings|layers|final_norm)\./, /^decoder\.|inv_freq$/),
    };
  },
};
