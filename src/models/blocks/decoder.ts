/**
 * @file What decoders have in common outside their blocks: an embedding, a final norm, and a head over the vocabulary or over classes.
 */
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

/** What differs between decoders outside their blocks. */
export interface DecoderEnds {
  readonly finalNorm: Norm;
  /** Applied to embedded tokens before the first block, such as a factor or a norm. */
  readonly scaleEmbedding: (x: Value, b: Builder) => Value;
  readonly capLogits: (logits: Value) => Value;
  /** Builds the inputs of blocks beside the residual stream, from ids [B, T] and x [B, T, D]; default: none. */
  readonly giveLayers?: (b: Builder, ids: Value, x: Value) => void;
  /** Whether the projection to logits has biases; default: no. */
  readonly headBias?: boolean;
  /** The projection to logits of classes; default: `score`, without biases. */
  readonly classes?: { readonly name: string; readonly bias: boolean };
  readonly names: DecoderNames;
  readonly checkpoint: CheckpointRules;
}

/** Default name of the projection to logits; in some files a module that contains it. */
const LM_HEAD = "lm_head";
const CLASSES = { name: "score", bias: false };

/** Ends with a final norm and nothing else. */
export function plainEnds(finalNorm: Norm, names = DECODER_NAMES): DecoderEnds {
  return {
    finalNorm,
    scaleEmbedding: (x) => x,
    capLogits: (logits) => logits,
    names,
    checkpoint: bareCheckpoint(names),
  };
}

/** Assembles a decoder; with `ForSequenceClassification` the last token of an example predicts its class. */
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
