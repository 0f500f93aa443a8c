/** @file What decoders have in common around their blocks: an embedding, a final norm, and a head over the vocabulary or over classes. */
import type { Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { type Norm, rmsNorm } from "../../nn/norms.ts";
import type { Builder } from "../../nn/builder.ts";
import { positionsFrom } from "../../nn/positions.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { type CheckpointRules, bareCheckpoint, withoutTensors } from "../config/checkpoint-rules.ts";
import { DECODER_NAMES, type DecoderNames } from "../config/decoder-names.ts";
import type { DecoderFields } from "../config/hf-config.ts";
import { isClassifier, numClasses } from "../config/classifier-config.ts";

/** What one decoder differs in from another outside its blocks. */
export interface DecoderEnds {
  readonly finalNorm: Norm;
  /** What becomes of an embedded token before the first block: it is multiplied by a factor, or normalised. */
  readonly scaleEmbedding: (x: Value, b: Builder) => Value;
  readonly capLogits: (logits: Value) => Value;
  /** Builds what blocks are given beside the stream, from ids [B, T] and x [B, T, D]; default: nothing. */
  readonly giveLayers?: (b: Builder, ids: Value, x: Value) => void;
  /** Whether the matrix of logits has biases; default: it has none. */
  readonly headBias?: boolean;
  /** The matrix of logits of classes; default: `score`, without biases. */
  readonly classes?: { readonly name: string; readonly bias: boolean };
  readonly names: DecoderNames;
  readonly checkpoint: CheckpointRules;
}

/** The matrix of logits, or a module in which something stands before it. */
const LM_HEAD = "lm_head";
const CLASSES = { name: "score", bias: false };

/** A final norm and nothing else. */
export function plainEnds(finalNorm: Norm, names = DECODER_NAMES): DecoderEnds {
  return {
    finalNorm,
    scaleEmbedding: (x) => x,
    capLogits: (logits) => logits,
    names,
    checkpoint: bareCheckpoint(names),
  };
}

/** Puts a decoder together; with `ForSequenceClassification`, the last token of an example tells its class. */
export function decoder(
  raw: RawConfig,
  c: Pick<DecoderFields, "vocab_size" | "hidden_size" | "tie_word_embeddings" | "max_position_embeddings">,
  layers: readonly Layer[],
  ends: DecoderEnds,
): ModelDefinition {
  const { vocab_size: vocabSize, hidden_size: width } = c;
  const {
    finalNorm,
    scaleEmbedding,
    capLogits,
    giveLayers,
    headBias: bias = false,
    classes = CLASSES,
    names,
    checkpoint,
  } = ends;
  const isClassifying = isClassifier(raw);
  const numOutputs = isClassifying ? numClasses(raw) : vocabSize;
  const { head = LM_HEAD } = names;
  const tiedTo = c.tie_word_embeddings ? `${names.embedding}.weight` : null;
  return {
    task: isClassifying ? "sequence-classification" : "causal-lm",
    settings: c,
    width,
    numOutputs,
    vocabSize,
    image: null,
    maxPositions: c.max_position_embeddings,
    layers,
    blockPrefix: (layer) => `${names.blocks}${layer}.`,
    stem: (b, ids) => {
      const x = scaleEmbedding(b.lookUp(names.embedding, ids, vocabSize, width), b);
      giveLayers?.(b, ids, x);
      if (names.positions === undefined) return x;
      const { positions, firstPosition = 0 } = names;
      const numRows = c.max_position_embeddings + firstPosition;
      return add(x, positionsFrom(b, positions, firstPosition, [numRows, width]));
    },
    head: (b, x) => {
      const normed = finalNorm(b, names.finalNorm, x);
      return isClassifying
        ? b.linear(classes.name, normed, numOutputs, { role: "head", bias: classes.bias })
        : capLogits(b.linear(head, normed, vocabSize, { role: "head", bias, tiedTo }));
    },
    classPosition: isClassifying ? "last" : null,
    checkpoint: isClassifying
      ? withoutTensors(checkpoint, new RegExp(`^(${head}|${LM_HEAD})\\.`))
      : checkpoint,
  };
}

/** A decoder with a root-mean-square norm before its head, and nothing else outside its blocks. */
export function plainDecoder(raw: RawConfig, c: DecoderFields, layers: readonly Layer[]): ModelDefinition {
  return decoder(raw, c, layers, plainEnds(rmsNorm(c.rms_norm_eps)));
}
