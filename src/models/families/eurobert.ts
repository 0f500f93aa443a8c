/**
 * @file The EuroBERT family with a head over classes: Llama's blocks, in which every token sees all others.
 *
 * Paper: "EuroBERT: Scaling Multilingual Encoders for European Languages", arXiv:2503.05500.
 */
import { z } from "zod";
import { rmsNorm } from "../../nn/norms.ts";
import { llamaBlock, mlpPart, plainAttention, repeat, siluMlp } from "../blocks/decoder-blocks.ts";
import { POOLING, pooledLayer } from "./eurobert/pooled-layer.ts";
import { prefixedCheckpoint } from "../config/checkpoint-rules.ts";
import type { Family, RawConfig } from "../family.ts";
import { ACTIVATION, activationOf } from "../config/activation-config.ts";
import { requireClasses } from "../config/classifier-config.ts";
import { BIAS_FIELDS, DECODER_FIELDS, HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";

const ENDS = { norm: "model.norm", dense: "dense" };
const count = z.int().positive();

const SCHEMA = z
  .object({
    ...DECODER_FIELDS,
    ...BIAS_FIELDS,
    vocab_size: count.default(128_256),
    hidden_size: count.default(768),
    intermediate_size: count.default(3072),
    num_hidden_layers: count.default(12),
    num_attention_heads: count.default(12),
    hidden_act: ACTIVATION.default("silu"),
    rms_norm_eps: z.number().positive().default(1e-5),
    max_position_embeddings: count.default(8192),
    classifier_pooling: POOLING.nullish(),
    // Its name in the code that came with the first files.
    clf_pooling: POOLING.nullish(),
  })
  .refine(...HEADS_DIVIDE_WIDTH)
  .refine(
    ({ classifier_pooling: now, clf_pooling: before }) => now == null || before == null || now === before,
    { path: ["clf_pooling"], message: "expected classifier_pooling" },
  );

/** A configuration with both names, for that code and for transformers. */
const ownConfig = ({ clf_pooling: before = null, ...others }: RawConfig): RawConfig =>
  before === null ? others : { ...others, clf_pooling: before, classifier_pooling: before };

export const eurobert: Family = {
  modelType: "eurobert",
  summary: "EuroBERT for sequence classification: 210m, 610m and 2.1B",
  traits:
    "Llama's blocks, in which every token sees all others. Both layers of the head read the first token (`bos`) or the mean of all (`mean`), or the first reads each token and the second the mean of its outputs (`late`): `classifier_pooling`, in files of transformers 4 `clf_pooling`.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { hidden_size: width, vocab_size: vocabSize } = c;
    const numOutputs = requireClasses(raw);
    const attention = { ...plainAttention(raw, c), causal: false };
    const mlp = mlpPart({ ...siluMlp(c), activation: activationOf(c.hidden_act) });
    const blocks = repeat(llamaBlock(c, attention, mlp), c);
    const pooling = c.classifier_pooling ?? c.clf_pooling ?? "late";
    return {
      task: "sequence-classification",
      settings: c,
      width,
      numOutputs,
      vocabSize,
      image: null,
      maxPositions: c.max_position_embeddings,
      layers: [...blocks, pooledLayer(pooling, rmsNorm(c.rms_norm_eps), ENDS, c.num_attention_heads)],
      blockPrefix: (layer) => (layer < blocks.length ? `model.layers.${layer}.` : ""),
      stem: (b, ids) => b.lookUp("model.embed_tokens", ids, vocabSize, width),
      head: (b, x) => b.linear("classifier", x, numOutputs, { role: "head", bias: true }),
      classPosition: "first",
      checkpoint: {
        // The head for masked words.
        ...prefixedCheckpoint("model.", /^(embed_tokens|layers|norm)\./, /^lm_head\.|inv_freq$/),
        ownConfig,
      },
    };
  },
};
