/**
 * @file What Gemma 4's models have in common: blocks with four norms, which multiply by w, norms on each head of queries, keys and
 * values, and a factor on the output. Blocks may have their own embeddings e, the last ones may read keys and values of an earlier
 * block, and all may have experts (`experts.ts`).
 *
 *   y ← y + norm(attention(norm(y)))      y ← y + norm(mlp(norm(y)))      y ← s (y + norm(Wp (gelu(Wg y) ∘ e)))
 *   e = (norm(W x / √D) + √P E[ids]) / √2,   x: what the first block reads, P: the width of e
 */
import { z } from "zod";
import type { Value } from "../../../graph/graph.ts";
import { add, mul } from "../../../graph/ops/pointwise/elementwise.ts";
import { gelu } from "../../../graph/ops/pointwise/gelu.ts";
import { reshape } from "../../../graph/ops/shapes/reshape.ts";
import { dimsOf, sizeAt } from "../../../graph/shape.ts";
import type { Builder } from "../../../nn/builder.ts";
import { type Norm, bareRmsNorm, headNorm, rmsNorm } from "../../../nn/norms.ts";
import { scale } from "../../../nn/scale.ts";
import { type SelfAttentionOptions, withHeadNorms } from "../../../nn/self-attention.ts";
import { bareCheckpoint, withoutTensors } from "../../config/checkpoint-rules.ts";
import {
  GEMMA4_FIELDS,
  GEMMA4_KEYS,
  GEMMA4_NAMES,
  type Gemma4Fields,
  type KindOfLayers,
  gemma4Experts,
  gemma4Heads,
  gemma4Sharing,
  gemma4Windows,
} from "./config.ts";
import { parseConfig } from "../../config/hf-config.ts";
import type { Layer, ModelDefinition, RawConfig } from "../../family.ts";
import { type DecoderEnds, decoder } from "../../blocks/decoder.ts";
import { gemmaBlock, gemmaEnds, gemmaMlp } from "../../blocks/gemma.ts";
import { blockWithExperts, inStacks } from "./experts.ts";

const SCHEMA = z.object(GEMMA4_FIELDS);

/** Adds to a block a branch that reads its own embeddings, if there are any, and a factor on the output, which no method trains. */
function completed(block: Layer, norm: Norm, width: number): Layer {
  const embedded = (b: Builder, x: Value): Value => {
    const gate = gelu(b.linear("per_layer_input_gate", x, width, { role: "other" }), "tanh");
    const inner = mul(gate, b.layerInput(width));
    const change = b.linear("per_layer_projection", inner, sizeAt(x.shape, -1), { role: "other" });
    return norm(b, "post_per_layer_input_norm", change);
  };
  return {
    build: (b, x) => {
      const y = block.build(b, x);
      const whole = width === 0 ? y : b.branch("layer_input", y, (y) => embedded(b, y));
      return mul(whole, b.tensor("layer_scalar", [1], "buffer"));
    },
  };
}

/** Attention of these heads. */
function gemma4Attention(
  c: Gemma4Fields,
  heads: KindOfLayers,
  { window, readsOther }: { readonly window: number | null; readonly readsOther: boolean },
): SelfAttentionOptions {
  const attention: SelfAttentionOptions = {
    ...heads,
    // Norms of queries and keys take the place of a scale.
    scale: 1,
    window,
    softcap: null,
    causal: true,
    bias: { qkv: c.attention_bias, output: c.attention_bias },
    queryNorm: null,
    keyNorm: null,
    valueNorm: headNorm(bareRmsNorm(c.rms_norm_eps))(heads.numKeyValueHeads),
    ...(c.attention_k_eq_v && window === null && { valuesAreKeys: true }),
    ...(readsOther && { readsOther }),
  };
  return withHeadNorms(attention, headNorm(rmsNorm(c.rms_norm_eps)));
}

/** The parts before and after the blocks. */
function gemma4Ends(c: Gemma4Fields, norm: Norm): DecoderEnds {
  const { num_hidden_layers: L, hidden_size_per_layer_input: P } = c;
  const checkpoint = { ...bareCheckpoint(GEMMA4_NAMES), inFolder: inStacks };
  const ends = { ...gemmaEnds(c, norm), names: GEMMA4_NAMES, checkpoint };
  if (!P) return ends;
  const [table, projection, projectionNorm] = GEMMA4_NAMES.beside;
  return {
    ...ends,
    giveLayers(b, ids, x) {
      const [B, T] = dimsOf(x.shape, 3);
      const byLayer = (all: Value): Value => reshape(all, [B, T, L, P]);
      const rows = b.lookUp(table, ids, c.vocab_size_per_layer_input, L * P);
      const projected = b.linear(projection, x, L * P, { role: "other" });
      const normed = norm(b, projectionNorm, byLayer(scale(projected, c.hidden_size ** -0.5)));
      b.toLayers(scale(add(normed, byLayer(scale(rows, Math.sqrt(P)))), Math.SQRT1_2));
    },
  };
}

/** A model, from the settings of its text part. @throws UsageError "usage/model" for what is not implemented */
export function openGemma4(raw: RawConfig): ModelDefinition {
  const c = parseConfig(SCHEMA, raw, GEMMA4_KEYS);
  const norm = rmsNorm(c.rms_norm_eps);
  const windows = gemma4Windows(raw, c);
  const keysFrom = gemma4Sharing(raw, c, windows);
  const heads = gemma4Heads(raw, c, windows);
  const sizes = gemma4Experts(raw, c);
  const block = (isWindowed: boolean, readsOther: boolean): Layer => {
    const window = isWindowed ? c.sliding_window : null;
    const attention = gemma4Attention(c, isWindowed ? heads.windowed : heads.full, { window, readsOther });
    const wider = readsOther && c.use_double_wide_mlp ? 2 : 1;
    const mlp = gemmaMlp({ ...c, intermediate_size: wider * c.intermediate_size });
    const parts = sizes
      ? blockWithExperts(norm, attention, mlp, { ...sizes, epsilon: c.rms_norm_eps })
      : gemmaBlock(norm, attention, mlp);
    return completed(parts, norm, c.hidden_size_per_layer_input ?? 0);
  };
  const [own, reading] = [false, true].map((reads) => [block(false, reads), block(true, reads)] as const);
  const layers = windows.map((has, layer) => (keysFrom[layer] === null ? own : reading)![Number(has)]!);
  const definition = decoder(raw, c, layers, gemma4Ends(c, norm));
  const idle = keysFrom.flatMap((from, layer) => (from === null ? [] : [layer]));
  if (idle.length === 0) return definition;
  // Files have tensors of keys and values even for layers that do not use them.
  const keys = new RegExp(`layers\\.(${idle.join("|")})\\.self_attn\\.(k_proj|v_proj|k_norm|v_norm)\\.`);
  return {
    ...definition,
    keysFrom: (layer) => keysFrom[layer] ?? null,
    checkpoint: withoutTensors(definition.checkpoint, keys),
  };
}
