/**
 * @file The LFM2 family: gated short convolutions in most layers, grouped attention with a norm on each head in the others.
 *
 * Report: "LFM2 Technical Report", arXiv:2511.23404, section 2.
 */
import { z } from "zod";
import { gatedMlp } from "../../nn/gated-mlp.ts";
import { headNorm, rmsNorm } from "../../nn/norms.ts";
import { withHeadNorms } from "../../nn/self-attention.ts";
import { gatedShortConv } from "../../nn/short-conv.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import { attentionPart, plainAttention, preNormBlock, siluMlp } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import {
  LFM2_FIELDS,
  LFM2_GGUF,
  LFM2_KEYS,
  LFM2_NAMES,
  feedForwardWidth,
  isConvolution,
} from "../config/lfm2-config.ts";
import { parseConfig } from "../config/hf-config.ts";
import { requireTypesOfAll } from "../config/layer-types.ts";

const NORMS = { attention: "operator_norm", mlp: "ffn_norm" };
const ATTENTION = { output: "out_proj", queryNorm: "q_layernorm", keyNorm: "k_layernorm" };
const MLP = { gate: "w1", up: "w3", down: "w2" };

export const lfm2: Family = {
  modelType: "lfm2",
  summary: "LFM2 and LFM2.5: 350M, 700M, 1.2B and 2.6B",
  traits:
    "Most layers have a gated convolution over three tokens in the place of attention; the others have Llama's attention with a norm on each head of queries and keys. Of the convolutions, only what the last two tokens gave is kept while texts are written.",
  gguf: LFM2_GGUF,
  open: (raw) => {
    const c = parseConfig(z.object(LFM2_FIELDS), raw, LFM2_KEYS);
    requireTypesOfAll(raw, c);
    const { num_hidden_layers: numLayers, conv_bias: bias, conv_L_cache: numTaps } = c;
    const norm = rmsNorm(c.rms_norm_eps);
    const attention = withHeadNorms(plainAttention(raw, c), (numHeads) => headNorm(norm, numHeads));
    const mlp = { ...siluMlp(c), intermediateSize: feedForwardWidth(c), names: MLP };
    const block = (part: Parameters<typeof preNormBlock>[1]): ReturnType<typeof preNormBlock> =>
      preNormBlock(norm, part, (b, x) => gatedMlp(b, x, "feed_forward.", mlp), NORMS);
    const attending = block(attentionPart(attention, ATTENTION));
    const convolving = block((b, x) => gatedShortConv(b, x, "conv.", { numTaps, bias }));
    const layers = Array.from({ length: numLayers }, (_, layer) =>
      isConvolution(c, layer) ? convolving : attending,
    );
    const ties = { ...c, tie_word_embeddings: c.tie_embedding ?? c.tie_word_embeddings };
    return decoder(raw, ties, layers, plainEnds(norm, LFM2_NAMES));
  },
};
