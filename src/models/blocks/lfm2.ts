/** @file What LFM2's models have in common: gated short convolutions in most layers, attention with head norms in the others. */
import { headNorm, rmsNorm } from "../../nn/norms.ts";
import { withHeadNorms } from "../../nn/self-attention.ts";
import { gatedShortConv } from "../../nn/short-conv.ts";
import { type CheckpointRules, bareCheckpoint, ofMatrix } from "../config/checkpoint-rules.ts";
import { type Lfm2Fields, LFM2_NAMES, isConvolution } from "../config/lfm2-config.ts";
import { without } from "../config/raw-config.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { decoder, plainEnds } from "./decoder.ts";
import { type Transform, attentionPart, plainAttention, preNormBlock } from "./decoder-blocks.ts";

const NORMS = { attention: "operator_norm", mlp: "ffn_norm" };
const ATTENTION = { output: "out_proj", queryNorm: "q_layernorm", keyNorm: "k_layernorm" };
/** Names of the matrices of a feed-forward part or an expert. */
export const LFM2_MLP = { gate: "w1", up: "w3", down: "w2" };

/** How files of MLX differ. */
export const LFM2_MLX = {
  taps: /\.conv\.conv\.weight$/,
  plusOne: null,
  split: null,
  pathOf: (path: string): string => path,
};

const PLAIN = bareCheckpoint(LFM2_NAMES);
const CHECKPOINT: CheckpointRules = {
  ...PLAIN,
  rename: (name) => ofMatrix(PLAIN.rename(name), LFM2_MLP),
  untiedConfig: (config) => PLAIN.untiedConfig(without(config, ["tie_embedding"])),
  mlx: LFM2_MLX,
};

/** Returns a function that gives the block of each layer, with this feed-forward part. */
export function lfm2Blocks(raw: RawConfig, c: Lfm2Fields, mlp: Transform): (layer: number) => Layer {
  const { conv_L_cache: numTaps, conv_bias: bias } = c;
  const norm = rmsNorm(c.rms_norm_eps);
  const options = withHeadNorms(plainAttention(raw, c), headNorm(norm));
  const block = (part: Transform): Layer => preNormBlock(norm, part, mlp, NORMS);
  const attending = block(attentionPart(options, ATTENTION));
  const convolving = block((b, x) => gatedShortConv(b, x, "conv.", { numTaps, bias }));
  return (layer) => (isConvolution(c, layer) ? convolving : attending);
}

/** Assembles a decoder from its blocks. */
export function lfm2Decoder(
  raw: RawConfig,
  c: Lfm2Fields,
  blockAt: (layer: number) => Layer,
): ModelDefinition {
  const layers = Array.from({ length: c.num_hidden_layers }, (_, layer) => blockAt(layer));
  const ties = { ...c, tie_word_embeddings: c.tie_embedding ?? c.tie_word_embeddings };
  return decoder(raw, ties, layers, {
    ...plainEnds(rmsNorm(c.rms_norm_eps), LFM2_NAMES),
    checkpoint: CHECKPOINT,
  });
}
