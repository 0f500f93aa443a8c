/**
 * @file The interface with which a family builds its blocks, stem and head. Using a tensor through it is its only declaration.
 *
 * The same definition is run to list a model's tensors and sites, and to build its programs with any adapter; the family cannot
 * tell which.
 */
import type { Value, Values } from "../graph/graph.ts";
import type { PassInput } from "./pass.ts";
import type { RopeConfig } from "./rope/rope-tables.ts";
import type { LinearAttentionValues } from "../graph/ops/linear-attention/linear-attention.ts";
import type { CachedAttentionAttributes } from "../graph/ops/attention/cached-attention.ts";

/** What a tensor is for, by which methods choose what to train; no method trains a buffer. */
export type TensorRole = "embedding" | "head" | "norm" | "weight" | "bias" | "buffer";

/** What a projection is for, by which methods choose their sites without naming a family. */
export type SiteRole =
  | "query"
  | "key"
  | "value"
  | "qkv"
  | "attention-output"
  | "gate"
  | "up"
  | "gate-up"
  | "down"
  | "router"
  | "embedding"
  | "head"
  | "other"
  | "residual";

/**
 * The place of a matrix in a tensor that transformers stacks for all experts, [experts, matrices per expert · out, in], or
 * [experts, in, out].
 */
export interface StackPlace {
  /** Path of the tensor inside the block: "mlp.experts.gate_up_proj". */
  readonly name: string;
  readonly role: SiteRole;
  readonly numExperts: number;
  /** Matrices that one expert has in it, stacked along the rows. */
  readonly numParts: number;
  /** Index of this matrix among all, expert by expert. */
  readonly index: number;
}

/** How a projection is declared. */
export interface LinearOptions {
  readonly role: SiteRole;
  readonly bias?: boolean;
  readonly stack?: StackPlace | undefined;
  /** The file keeps the matrix as [in, out]. */
  readonly storedTransposed?: boolean;
  /** The name of the embedding whose matrix this is, so that no file needs to hold it twice. */
  readonly tiedTo?: string | null;
}

/** How queries see keys. */
export interface AttentionOptions extends Pick<
  CachedAttentionAttributes,
  "numHeads" | "numKeyValueHeads" | "headWidth" | "scale" | "softcap" | "window"
> {
  /** How queries and keys are rotated; null: not at all. */
  readonly rope: RopeConfig | null;
  /** Whether queries see no keys after them. */
  readonly causal: boolean;
  /** Whether queries and keys are already rotated; default: attention rotates them. */
  readonly comesRotated?: true;
  /**
   * Path of a tensor [H] inside the block with a logit for each head, which enters its softmax like a key without a value;
   * absent: there are none.
   */
  readonly sinks?: string;
}

/** How queries see keys, with an optional bias of the scores, float32 [B or 1, H, T, T]. */
export interface AttendOptions extends AttentionOptions {
  readonly bias?: Value;
}

/**
 * Declares tensors and builds with them. Names are paths inside the block; in stem and head they are whole paths. In a block a
 * name that begins with "/" is a whole path too, of a tensor outside the blocks, which several of them may read.
 */
export interface Builder {
  /**
   * Projects x [..., in] to x Wᵀ + b [..., out], with any adapter on this site. A projection that is applied to several values is
   * one site.
   */
  linear(name: string, x: Value, outFeatures: number, options: LinearOptions): Value;
  /** Looks up rows of a table [numRows, width] by index, with any adapter on this site: [..., width]. */
  lookUp(name: string, ids: Value, numRows: number, width: number): Value;
  /** Returns a tensor by its full name in the part, "input_layernorm.weight"; a vector may come as one for each row (`along-rows`). */
  tensor(name: string, shape: readonly number[], role: TensorRole): Value;
  /** Attends: projected q [B, T, H·E], k and v [B, T, K·E] give [B, T, H·E], with mask and cache. */
  attend(q: Value, k: Value, v: Value, options: AttendOptions): Value;
  /**
   * Returns the x [B, T, W] of 1, 2, … `count` tokens earlier, [B, T, W] each, with zeros before the start of an example. The
   * last ones are kept for later tokens like keys and values, or like a state in a block that has already attended. W is even.
   */
  earlier(x: Value, count: number): Values;
  /**
   * Returns what queries read from a memory that each token adds to or corrects (`linear-attention.ts`), [B, T, H·W]. Each
   * example has a memory of its own; for later tokens it is kept as one state of fixed size.
   */
  linearAttention(values: LinearAttentionValues): Value;
  /** Rotates the heads of x [B, T, n·E] by the positions of their tokens. */
  rotate(x: Value, numHeads: number, rope: RopeConfig): Value;
  /** Gives each layer its own part of x [B, T, L, W], which it reads by `layerInput`. Only in the part before the blocks. */
  toLayers(x: Value): void;
  /** Returns the part that `toLayers` gave this layer, [B, T, width]. */
  layerInput(width: number): Value;
  /** Returns rotated keys and values of the layer that this one shares them with (`ModelDefinition.keysFrom`), [B, T, width] each. */
  keysOfOther(width: number): readonly [key: Value, value: Value];
  /** A residual branch: x + f(x). A run of the block may leave out its backward pass. */
  branch(name: string, x: Value, f: (x: Value) => Value): Value;
  /**
   * Splits rows [R, ...] into parts of `counts` rows, int64 [E], each for projections of its own; `numPerToken`: rows of one
   * token in all parts together.
   */
  splitRows(rows: Value, counts: Value, numParts: number, numPerToken: number): Values;
  /** Returns a tensor that is made for each pass. */
  input(input: PassInput): Value;
}
