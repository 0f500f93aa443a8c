/**
 * @file What the Gemma families share: a feed-forward part gated by GELU and a scaled embedding; in Gemma 2 and 3 also norms by 1
 * + w before and after each branch, capped logits, and a mix of layers with and without a window.
 *
 *   x ← x + norm(attention(norm(x)))      x ← x + norm(Wdown (gelu(Wgate n) ∘ Wup n)),  n = norm(x)
 *
 * Papers: "Gemma 2", arXiv:2408.00118, section 2; "Gemma 3 Technical Report", arXiv:2503.19786, section 2.
 */
import { z } from "zod";
import { gelu } from "../../graph/ops/pointwise/gelu.ts";
import { softCap } from "../../nn/attention.ts";
import { type Norm, rmsNormPlusOne } from "../../nn/norms.ts";
import { scale } from "../../nn/scale.ts";
import type { SelfAttentionOptions } from "../../nn/self-attention.ts";
import { type DecoderEnds, decoder, plainEnds } from "./decoder.ts";
import {
  type Transform,
  attentionPart,
  mlpPart,
  normed,
  plainAttention,
  preNormBlock,
} from "./decoder-blocks.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { BLOCK_NAMES, decoderGguf, preNormNames, type DecoderRules } from "../config/decoder-gguf.ts";
import { PRE_NORMS_OF_FOUR } from "../config/decoder-names.ts";
import type { GgufRules } from "../config/gguf-rules.ts";
import { DECODER_FIELDS, type DecoderFields } from "../config/hf-config.ts";
import { WINDOW_FIELDS, layersByWindow } from "../config/window-config.ts";

export const GEMMA_FIELDS = {
  ...DECODER_FIELDS,
  ...WINDOW_FIELDS,
  tie_word_embeddings: z.boolean().default(true),
  num_key_value_heads: z.int().positive().nullable().default(4),
  max_position_embeddings: z.int().positive().default(8192),
  head_dim: z.int().positive().default(256),
  attention_bias: z.boolean().default(false),
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: z.int().positive().default(4096),
  final_logit_softcapping: z.number().positive().nullish(),
  hidden_activation: z.literal("gelu_pytorch_tanh").default("gelu_pytorch_tanh"),
  hidden_act: z.literal("gelu_pytorch_tanh").nullish(),
  use_bidirectional_attention: z.literal(false).nullish(),
};
const FIELDS = z.object(GEMMA_FIELDS);

/** Settings of those whose attention scores are capped too. */
export const CAPPED_GEMMA_FIELDS = {
  ...GEMMA_FIELDS,
  attn_logit_softcapping: z.number().positive().nullable().default(50),
  final_logit_softcapping: z.number().positive().nullable().default(30),
};
const CAPPED_FIELDS = z.object(CAPPED_GEMMA_FIELDS);

/** The settings that Gemma 2 and 3 have. */
type GemmaFields = z.output<typeof FIELDS>;

/** Attention of Gemma 2 and 3, without a window. */
export function gemmaAttention(raw: RawConfig, c: GemmaFields): SelfAttentionOptions {
  return { ...plainAttention(raw, c), scale: c.query_pre_attn_scalar ** -0.5 };
}

/** A feed-forward part gated by GELU, in the approximation by tanh. */
export function gemmaMlp({ intermediate_size: intermediateSize }: DecoderFields): Transform {
  return mlpPart({ intermediateSize, activation: (x) => gelu(x, "tanh"), bias: false });
}

/** A block with four norms: before and after attention, before and after the feed-forward part; or only those before. */
export function gemmaBlock(
  norm: Norm,
  options: SelfAttentionOptions,
  mlp: Transform,
  { hasNormsBehind = true }: { readonly hasNormsBehind?: boolean } = {},
): Layer {
  const behind = (name: string, part: Transform): Transform =>
    hasNormsBehind ? normed(norm, name, part) : part;
  const attention = behind("post_attention_layernorm", attentionPart(options));
  return preNormBlock(norm, attention, behind("post_feedforward_layernorm", mlp), PRE_NORMS_OF_FOUR);
}

/** Multiplies embedded tokens by √D, and caps logits if there is a cap. */
export function gemmaEnds(
  c: DecoderFields & Partial<Pick<GemmaFields, "final_logit_softcapping">>,
  norm = rmsNormPlusOne(c.rms_norm_eps),
): DecoderEnds {
  const cap = c.final_logit_softcapping ?? null;
  return {
    ...plainEnds(norm),
    scaleEmbedding: (x) => scale(x, Math.sqrt(c.hidden_size)),
    capLogits: (logits) => (cap === null ? logits : softCap(logits, cap)),
  };
}

/** What differs between the blocks of such decoders. */
interface GemmaBlocks {
  readonly full: SelfAttentionOptions;
  readonly windowed: SelfAttentionOptions;
  /** Whether there are norms after the branches too; default: yes. */
  readonly hasNormsBehind?: boolean;
}

/** A decoder of layers with and without a window; `isWindowed` says which have one if the file does not. */
export function gemmaDecoder(
  raw: RawConfig,
  c: GemmaFields,
  { hasNormsBehind = true, ...attention }: GemmaBlocks,
  isWindowed: (layer: number) => boolean,
): ModelDefinition {
  const block = (options: SelfAttentionOptions): Layer =>
    gemmaBlock(rmsNormPlusOne(c.rms_norm_eps), options, gemmaMlp(c), { hasNormsBehind });
  const [full, windowed] = [block(attention.full), block(attention.windowed)];
  return decoder(raw, c, layersByWindow(raw, c, { full, windowed }, isWindowed), gemmaEnds(c));
}

/** A decoder with capped attention scores and a window in every second layer. */
export function cappedGemma(
  raw: RawConfig,
  c: z.output<typeof CAPPED_FIELDS>,
  hasNormsBehind: boolean,
): ModelDefinition {
  const full = { ...gemmaAttention(raw, c), softcap: c.attn_logit_softcapping };
  const windowed = { ...full, window: c.sliding_window };
  return gemmaDecoder(raw, c, { full, windowed, hasNormsBehind }, (layer) => layer % 2 === 0);
}

/**
 * GGUF files of Gemma 2 and 3. They do not contain the scale of attention: it follows from the head width, except in the largest
 * model, recognised by its number of layers, where it follows from the model width divided by the number of heads.
 */
export function gemmaGguf(
  rules: Pick<DecoderRules, "architecture" | "className" | "settings" | "values"> & {
    readonly numLayersOfLargest: number;
    readonly hasHeadNorms: boolean;
  },
): GgufRules {
  const { numLayersOfLargest, hasHeadNorms, ...given } = rules;
  const norms = {
    preNorms: preNormNames(PRE_NORMS_OF_FOUR),
    headNorms: hasHeadNorms ? BLOCK_NAMES.headNorms : {},
    postNorms: BLOCK_NAMES.postNorms,
  };
  const normNames = [...Object.values(norms).flatMap((names) => Object.keys(names)), "output_norm"];
  return decoderGguf({
    ...given,
    blockNames: norms,
    changes: Object.fromEntries(normNames.map((name) => [name, "plus-one"])),
    fixed: { hidden_act: null, hidden_activation: "gelu_pytorch_tanh" },
    complete: (config) => ({
      ...config,
      query_pre_attn_scalar:
        config["num_hidden_layers"] === numLayersOfLargest
          ? Number(config["hidden_size"]) / Number(config["num_attention_heads"])
          : config["head_dim"],
    }),
  });
}
