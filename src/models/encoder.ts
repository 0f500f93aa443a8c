/**
 * @file What the BERT families share: encoder blocks with norms behind the branches, learned positions, a class of the
 * first token.
 *
 *   x = norm(E[ids] + P[positions] + S[types])      x ← norm(x + attention(x))      x ← norm(x + W₂ gelu(W₁ x))
 *
 * Paper: "BERT", arXiv:1810.04805, section 3.
 */
import { z } from "zod";
import type { Value } from "../graph/graph.ts";
import { add } from "../graph/ops/elementwise.ts";
import { gelu } from "../graph/ops/gelu.ts";
import type { Builder } from "../nn/builder.ts";
import { layerNorm } from "../nn/norms.ts";
import { unrotatedAttention } from "../nn/self-attention.ts";
import { TOKEN_TYPES } from "../nn/pass.ts";
import { type Layer, type ModelDefinition, PLAIN_CHECKPOINT, type RawConfig } from "./family.ts";
import { isClassifier, numClasses, unusable } from "./hf-config.ts";

export const ENCODER_FIELDS = {
  vocab_size: z.int().positive(),
  hidden_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  intermediate_size: z.int().positive(),
  hidden_act: z.literal("gelu").default("gelu"),
  max_position_embeddings: z.int().positive().default(512),
  type_vocab_size: z.int().positive().default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  position_embedding_type: z.literal("absolute").default("absolute"),
  is_decoder: z.literal(false).default(false),
  add_cross_attention: z.literal(false).default(false),
  // Only the head over the vocabulary, which a classifier lacks, could be tied.
  tie_word_embeddings: z.boolean().optional(),
  pad_token_id: z.int().min(0).nullish(),
};
const FIELDS = z.object(ENCODER_FIELDS);

/** What one encoder differs in from another. */
export interface EncoderParts {
  /** Of tensors before the head: "bert". */
  readonly prefix: string;
  readonly maxPositions: number;
  /** Rows of learned positions, [B, T, D]. */
  positions(b: Builder): Value;
  /** From the first token's row [N, D] to logits [N, V]. */
  head(b: Builder, x: Value, numClasses: number): Value;
}

/** Puts an encoder together. @throws UsageError "usage/model" for one that does not tell classes */
export function encoder(raw: RawConfig, c: z.output<typeof FIELDS>, parts: EncoderParts): ModelDefinition {
  const { hidden_size: width, num_attention_heads: numHeads, vocab_size: vocabSize } = c;
  const { prefix } = parts;
  if (!isClassifier(raw)) {
    throw unusable(
      raw,
      `architectures is ${JSON.stringify(raw["architectures"])} (expected one that ends in ForSequenceClassification)`,
    );
  }
  if (width % numHeads !== 0) {
    throw unusable(raw, `num_attention_heads is ${numHeads} (expected a divisor of hidden_size)`);
  }
  const attention = unrotatedAttention(width, numHeads, false);
  const norm = layerNorm(c.layer_norm_eps);
  const layer: Layer = {
    build: (b, x) => {
      const attended = b.branch("attention", x, (x) => {
        const [q, k, v] = (["query", "key", "value"] as const).map((role) =>
          b.linear(`attention.self.${role}`, x, width, { role, bias: true }),
        ) as [Value, Value, Value];
        const output = b.attend(q, k, v, attention);
        return b.linear("attention.output.dense", output, width, { role: "attention-output", bias: true });
      });
      const middle = norm(b, "attention.output.LayerNorm", attended);
      const sum = b.branch("mlp", middle, (x) => {
        const inner = b.linear("intermediate.dense", x, c.intermediate_size, { role: "up", bias: true });
        return b.linear("output.dense", gelu(inner), width, { role: "down", bias: true });
      });
      return norm(b, "output.LayerNorm", sum);
    },
  };
  const table = (name: string): string => `${prefix}.embeddings.${name}`;
  const numOutputs = numClasses(raw);
  return {
    task: "sequence-classification",
    width,
    numOutputs,
    vocabSize,
    image: null,
    maxPositions: parts.maxPositions,
    layers: Array.from({ length: c.num_hidden_layers }, () => layer),
    blockPrefix: (layer) => `${prefix}.encoder.layer.${layer}.`,
    stem: (b, ids) => {
      const words = b.lookUp(table("word_embeddings"), ids, vocabSize, width);
      const types = b.lookUp(table("token_type_embeddings"), b.input(TOKEN_TYPES), c.type_vocab_size, width);
      return norm(b, table("LayerNorm"), add(add(words, types), parts.positions(b)));
    },
    head: (b, x) => parts.head(b, x, numOutputs),
    classPosition: "first",
    checkpoint: PLAIN_CHECKPOINT,
  };
}
