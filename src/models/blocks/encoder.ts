/**
 * @file What the BERT families share: encoder blocks with norms after the branches, learned positions, classes predicted from the
 * first token.
 *
 *   x = norm(E[ids] + P[positions] + S[types])      x ← norm(x + attention(x))      x ← norm(x + W₂ gelu(W₁ x))
 *
 * Paper: "BERT", arXiv:1810.04805, section 3.
 */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import type { Builder } from "../../nn/builder.ts";
import { layerNorm } from "../../nn/norms.ts";
import { positionsFrom } from "../../nn/positions.ts";
import { type SelfAttentionOptions, selfAttention, unrotatedAttention } from "../../nn/self-attention.ts";
import { ONE_TOKEN_TYPE, TOKEN_TYPES } from "../../nn/pass.ts";
import { plainMlpPart } from "./decoder-blocks.ts";
import { type CheckpointRules, prefixedCheckpoint } from "../config/checkpoint-rules.ts";
import type { Layer, ModelDefinition, RawConfig } from "../family.ts";
import { ACTIVATION } from "../config/activation-config.ts";
import { SIZE_FIELDS } from "../config/hf-config.ts";
import { requireClasses } from "../config/classifier-config.ts";

export const ENCODER_FIELDS = {
  ...SIZE_FIELDS,
  intermediate_size: z.int().positive(),
  hidden_act: ACTIVATION.default("gelu"),
  max_position_embeddings: z.int().positive().default(512),
  type_vocab_size: z.int().positive().default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  position_embedding_type: z.literal("absolute").default("absolute"),
  is_decoder: z.literal(false).default(false),
  // Ignored: only a head over the vocabulary could be tied, which classifiers lack.
  tie_word_embeddings: z.boolean().optional(),
  pad_token_id: z.int().min(0).nullish(),
};
const FIELDS = z.object(ENCODER_FIELDS);

/** Names of the modules in an encoder's blocks; `blocks` stands between the prefix and the number of a block. */
interface EncoderNames {
  readonly blocks: string;
  readonly attention: Parameters<typeof selfAttention>[2];
  readonly attentionNorm: string;
  readonly mlp: Parameters<typeof plainMlpPart>[0];
  readonly mlpNorm: string;
}

/** The names in BERT. */
export const BERT_NAMES: EncoderNames = {
  blocks: "encoder.layer.",
  attention: {
    prefix: "attention.",
    query: "self.query",
    key: "self.key",
    value: "self.value",
    output: "output.dense",
  },
  attentionNorm: "attention.output.LayerNorm",
  mlp: { up: "intermediate.dense", down: "output.dense" },
  mlpNorm: "output.LayerNorm",
};

/** What differs between encoders. */
export interface EncoderParts {
  /** Prefix of the names of tensors before the head: "bert". */
  readonly prefix: string;
  readonly names: EncoderNames;
  /** Which row of a table of token types is added: none, that of the first text to all tokens, or to each text of a pair its own. */
  readonly types: "none" | "of-first" | "of-each";
  /** Row of the table of learned positions for position 0; null: there is no such table. */
  readonly firstPosition: number | null;
  /** Width of the tables, and the projection of their sum to the model's width if that differs; default: it does not. */
  readonly embedding?: {
    readonly width: number;
    readonly project: string;
    /** Whether the sum is projected after its norm, with a bias, or before it, without one. */
    readonly isNormed: boolean;
  };
  /** A bias of the attention scores, and their scale; default: no bias, and the scale of the head width. */
  readonly scores?: Partial<Pick<SelfAttentionOptions, "biasOf" | "scale">>;
  /** Computes the first block's output from its input x and its usual output y; default: y. */
  readonly first?: (b: Builder, x: Value, y: Value) => Value;
  /** Tensors in files to ignore, which belong to heads for other tasks. */
  readonly ignored: RegExp;
  /** The two projections from the first token to logits, and the activation between them. */
  readonly head: {
    readonly dense: string;
    readonly activation: (x: Value) => Value;
    readonly output: string;
  };
}

/** Assembles an encoder. @throws UsageError "usage/model" for one without classes */
export function encoder(raw: RawConfig, c: z.output<typeof FIELDS>, parts: EncoderParts): ModelDefinition {
  const { hidden_size: width, num_attention_heads: numHeads, vocab_size: vocabSize } = c;
  const { max_position_embeddings: numRows } = c;
  const { prefix, names, firstPosition, head, first } = parts;
  const { embedding = { width, project: "embeddings", isNormed: true } } = parts;
  const bare = ["embeddings", embedding.project, names.blocks.split(".")[0], "pooler"];
  const numOutputs = requireClasses(raw);
  const attention = { ...unrotatedAttention(width, numHeads), causal: false, ...parts.scores };
  const mlp = plainMlpPart(names.mlp, c, true);
  const norm = layerNorm(c.layer_norm_eps);
  const layer: Layer = {
    build: (b, x) => {
      const attended = b.branch("attention", x, (x) => selfAttention(b, x, names.attention, attention));
      const middle = norm(b, names.attentionNorm, attended);
      const sum = b.branch("mlp", middle, (x) => mlp(b, x));
      return norm(b, names.mlpNorm, sum);
    },
  };
  const firstLayer: Layer = first ? { build: (b, x) => first(b, x, layer.build(b, x)) } : layer;
  const project = (b: Builder, x: Value): Value =>
    embedding.width === width
      ? x
      : b.linear(`${prefix}.${embedding.project}`, x, width, { role: "other", bias: embedding.isNormed });
  const table = (name: string): string => `${prefix}.embeddings.${name}`;
  return {
    task: "sequence-classification",
    settings: c,
    width,
    numOutputs,
    vocabSize,
    image: null,
    maxPositions: numRows - (firstPosition ?? 0),
    layers: Array.from({ length: c.num_hidden_layers }, (_, index) => (index === 0 ? firstLayer : layer)),
    blockPrefix: (layer) => `${prefix}.${names.blocks}${layer}.`,
    stem: (b, ids) => {
      const words = b.lookUp(table("word_embeddings"), ids, vocabSize, embedding.width);
      const types = (): Value =>
        b.lookUp(
          table("token_type_embeddings"),
          b.input(parts.types === "of-each" && c.type_vocab_size > 1 ? TOKEN_TYPES : ONE_TOKEN_TYPE),
          c.type_vocab_size,
          embedding.width,
        );
      const tokens = parts.types === "none" ? words : add(words, types());
      const rows = [numRows, embedding.width] as const;
      const positions = (first: number): Value => positionsFrom(b, table("position_embeddings"), first, rows);
      const sum = firstPosition === null ? tokens : add(tokens, positions(firstPosition));
      const normed = (x: Value): Value => norm(b, table("LayerNorm"), x);
      return embedding.isNormed ? project(b, normed(sum)) : normed(project(b, sum));
    },
    head: (b, x) => {
      const inner = head.activation(b.linear(head.dense, x, width, { role: "other", bias: true }));
      return b.linear(head.output, inner, numOutputs, { role: "head", bias: true });
    },
    classPosition: "first",
    checkpoint: withNamesOfNorms(
      prefixedCheckpoint(
        `${prefix}.`,
        new RegExp(`^(${bare.filter((name) => name !== head.dense.split(".")[0]).join("|")})\\.`),
        parts.ignored,
      ),
    ),
  };
}

/** Also accepts TensorFlow's names for parts of norms, which files of the first BERT models have. */
function withNamesOfNorms(rules: CheckpointRules): CheckpointRules {
  const rename = (name: string): string =>
    rules.rename(name.replace(/(?<=LayerNorm\.)gamma$/, "weight").replace(/(?<=LayerNorm\.)beta$/, "bias"));
  return { ...rules, rename };
}
