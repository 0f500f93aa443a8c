/**
 * @file What Granite's decoders have in common: Llama's blocks with factors on embeddings, scores, branches and logits.
 *
 *   x = m_e E[ids]      x ← x + m_r attention(norm(x))      x ← x + m_r mlp(norm(x))      logits = head(norm(x)) / s
 *
 * Models: "Granite 3.0 Language Models", IBM, 2024. The factors are those of "Tensor Programs V", arXiv:2203.03466.
 */
import { z } from "zod";
import { experts } from "../../nn/experts.ts";
import { rmsNorm } from "../../nn/norms.ts";
import { type Router, projectedBy, softmaxRouter } from "../../nn/routers.ts";
import { scale } from "../../nn/scale.ts";
import type { SelfAttentionOptions } from "../../nn/self-attention.ts";
import { readExperts } from "../config/expert-config.ts";
import { DECODER_FIELDS } from "../config/hf-config.ts";
import { inExpertStacks } from "../config/checkpoint-rules.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { decoder, plainEnds } from "./decoder.ts";
import { type Transform, attentionPart, preNormBlock, siluMlp } from "./decoder-blocks.ts";

const FACTOR = z.number().positive().default(1);

/** Settings of all of them. */
export const GRANITE_FIELDS = {
  ...DECODER_FIELDS,
  embedding_multiplier: FACTOR,
  attention_multiplier: FACTOR,
  residual_multiplier: FACTOR,
  logits_scaling: FACTOR,
};

/** Name prefix of the experts and their router in files. */
const EXPERTS = "block_sparse_moe.";
const ROUTER: Router = { ...softmaxRouter(), logits: projectedBy("router") };
const MATRIX =
  /^(?<prefix>.*\.block_sparse_moe\.)experts\.(?<expert>\d+)\.(?<part>gate|up|down)_proj\.weight$/;
const STACKS = { gateUp: "input_linear.weight", down: "output_linear.weight" };

type GraniteFields = z.output<z.ZodObject<typeof GRANITE_FIELDS>>;

/** Attention with Granite's factor on scores. */
export function graniteAttention(c: GraniteFields, attention: SelfAttentionOptions): Transform {
  return attentionPart({ ...attention, scale: c.attention_multiplier });
}

/** A block of attention, or a replacement of it, and a feed-forward part, with Granite's factor on both branches. */
export function graniteBlock(c: GraniteFields, mixer: Transform, mlp: Transform): Layer {
  const scaled =
    (part: Transform): Transform =>
    (b, x) =>
      scale(part(b, x), c.residual_multiplier);
  return preNormBlock(rmsNorm(c.rms_norm_eps), scaled(mixer), scaled(mlp));
}

/** Settings of the experts, and their names in files. */
export const GRANITE_EXPERTS = {
  fields: { num_experts: z.int().min(0).default(8), num_experts_per_tok: z.int().min(0).default(2) },
  keys: { num_experts: "num_local_experts" },
};

/** A feed-forward part of experts, weighted by a softmax over the chosen ones. @throws UsageError "usage/model" */
export function graniteExperts(
  raw: RawConfig,
  c: GraniteFields & z.output<z.ZodObject<typeof GRANITE_EXPERTS.fields>>,
): Transform {
  const sizes = readExperts(raw, c);
  const options = { ...sizes, normalizes: true, router: ROUTER, expert: siluMlp(c) };
  return (b, x) => experts(b, x, EXPERTS, options);
}

/** Assembles a decoder from its blocks. */
export function graniteDecoder(raw: RawConfig, c: GraniteFields, layers: readonly Layer[]): ModelDefinition {
  return decoder(raw, c, layers, {
    ...plainEnds(rmsNorm(c.rms_norm_eps)),
    scaleEmbedding: (x) => scale(x, c.embedding_multiplier),
    capLogits: (logits) => scale(logits, 1 / c.logits_scaling),
  });
}

/** Adapts the names of a model with experts, whose files stack all experts of a layer in two tensors. */
export function withStackedExperts(definition: ModelDefinition): ModelDefinition {
  const { checkpoint } = definition;
  return {
    ...definition,
    checkpoint: {
      ...checkpoint,
      // In transformers 5 the router's matrix has no module `layer` of its own.
      rename: (name) => checkpoint.rename(name).replace(/(?<=\.router)\.layer(?=\.weight$)/, ""),
      inFolder: (name) =>
        inExpertStacks(name, MATRIX, STACKS) ?? {
          name: name.replace(/(?<=\.block_sparse_moe\.router)(?=\.weight$)/, ".layer"),
          stack: null,
        },
    },
  };
}
