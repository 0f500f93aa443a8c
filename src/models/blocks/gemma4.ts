/**
 * @file What Gemma 4's models have in common: blocks of four norms, which multiply by w, with norms on each head of queries, keys
 * and values, and a factor on all that they give.
 *
 *   y ← y + norm(attention(norm(y)))      y ← s (y + norm(mlp(norm(y))))
 */
import { z } from "zod";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import { bareRmsNorm, headNorm, rmsNorm } from "../../nn/norms.ts";
import { type SelfAttentionOptions, withHeadNorms } from "../../nn/self-attention.ts";
import {
  GEMMA4_FIELDS,
  type Gemma4Fields,
  type KindOfLayers,
  gemma4Heads,
  gemma4Windows,
  requirePlainLayers,
} from "../config/gemma4-config.ts";
import { parseConfig } from "../config/hf-config.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { decoder } from "./decoder.ts";
import { gemmaBlock, gemmaEnds, gemmaMlp } from "./gemma-block.ts";

const SCHEMA = z.object(GEMMA4_FIELDS);

/** A block whose output has a factor, which no method trains. */
const scaled = (block: Layer): Layer => ({
  build: (b, x) => mul(block.build(b, x), b.tensor("layer_scalar", [1], "buffer")),
});

/** Attention of these heads. */
function gemma4Attention(c: Gemma4Fields, heads: KindOfLayers, window: number | null): SelfAttentionOptions {
  const attention: SelfAttentionOptions = {
    ...heads,
    // Norms of queries and keys have its place.
    scale: 1,
    window,
    softcap: null,
    causal: true,
    bias: { qkv: c.attention_bias, output: c.attention_bias },
    queryNorm: null,
    keyNorm: null,
    valueNorm: headNorm(bareRmsNorm(c.rms_norm_eps), heads.numKeyValueHeads),
    ...(c.attention_k_eq_v && window === null && { valuesAreKeys: true }),
  };
  return withHeadNorms(attention, (numHeads) => headNorm(rmsNorm(c.rms_norm_eps), numHeads));
}

/** A model, from the settings of its text part. @throws UsageError "usage/model" for what is not implemented */
export function openGemma4(raw: RawConfig): ModelDefinition {
  const c = parseConfig(SCHEMA, raw);
  requirePlainLayers(raw, c);
  const norm = rmsNorm(c.rms_norm_eps);
  const windows = gemma4Windows(raw, c);
  const heads = gemma4Heads(raw, c, windows);
  const block = (attention: SelfAttentionOptions): Layer => scaled(gemmaBlock(norm, attention, gemmaMlp(c)));
  const full = block(gemma4Attention(c, heads.full, null));
  const windowed = block(gemma4Attention(c, heads.windowed, c.sliding_window));
  const layers = windows.map((has) => (has ? windowed : full));
  return decoder(raw, c, layers, gemmaEnds(c, norm));
}
