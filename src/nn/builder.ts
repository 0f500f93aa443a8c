/**
 * @file What a family builds its blocks, stem and head with. A tensor is declared here, where it is used, and nowhere else.
 *
 * The same definition is run to list a model's tensors and sites, and to build its programs with whatever adapter sits on
 * them; the family knows of neither.
 */
import type { Value, Values } from "../graph/graph.ts";
import type { PassInput } from "./pass.ts";
import type { RopeConfig } from "./rope/rope-tables.ts";
import type { LinearAttentionValues } from "../graph/ops/linear-attention/linear-attention.ts";
import type { CachedAttentionAttributes } from "../graph/ops/attention/cached-attention.ts";

/** What a tensor is for: methods choose by it which to train; a buffer is trained by none. */
export type TensorRole = "embedding" | "head" | "norm" | "weight" | "bias" | "buffer";

/** What a projection is for: methods choose by it where to sit, so that none names a family. */
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

/** Where a matrix lies among those that transformers' classes keep as one tensor, [experts, matrices of one · out, in], or [experts, in, out]. */
export interface StackPlace {
  /** Path of the tensor inside the block: "mlp.experts.gate_up_proj". */
  readonly name: string;
  readonly role: SiteRole;
  readonly numExperts: number;
  /** Matrices that one expert has in it, one below the other. */
  readonly numParts: number;
  /** Which it is of all, expert by expert. */
  readonly index: number;
}

/** How a projection is declared. */
export interface LinearOptions {
  readonly role: SiteRole;
  readonly bias?: boolean;
  readonly stack?: StackPlace | undefined;
  /** The file keeps the matrix as [in, out]. */
  readonly storedTransposed?: boolean;
  /** The matrix is that of this embedding: no file needs to hold it twice. */
  readonly tiedTo?: string | null;
}

/** How queries see keys. */
export interface AttentionOptions extends Pick<
  CachedAttentionAttributes,
  "numHeads" | "numKeyValueHeads" | "headWidth" | "scale" | "softcap" | "window"
> {
  /** How queries and keys are rotated; null: not at all. */
  readonly rope: RopeConfig | null;
  /** A query sees none after it. */
  readonly causal: boolean;
  /** Whether queries and keys come rotated; default: attention rotates them. */
  readonly comesRotated?: true;
  /**
   * Path of a tensor [H] inside the block: a logit of each head that takes part in its softmax, as that of a key without a value;
   * absent: there are none.
   */
  readonly sinks?: string;
}

/** How queries see keys, and a bias of their scores, float32 [B or 1, H, T, T]; none unless given. */
export interface AttendOptions extends AttentionOptions {
  readonly bias?: Value;
}

/**
 * Declares tensors and builds with them. Names are paths inside the block; whole paths in stem and head, and in a block where they
 * begin with "/": of tensors outside of the blocks, which several of them may read.
 */
export interface Builder {
  /**
   * The projection x Wᵀ + b of x [..., in] to [..., out], with whatever adapter sits there. One that is built of several values
   * is one site.
   */
  linear(name: string, x: Value, outFeatures: number, options: LinearOptions): Value;
  /** Rows of a table [numRows, width] by number, with whatever adapter sits there: [..., width]. */
  lookUp(name: string, ids: Value, numRows: number, width: number): Value;
  /** A tensor by its full name in the part, "input_layernorm.weight"; of a vector there may be one for each row (`along-rows`). */
  tensor(name: string, shape: readonly number[], role: TensorRole): Value;
  /** Attention of projected q [B, T, H·E], k and v [B, T, K·E], with mask and cache. Gives [B, T, H·E]. */
  attend(q: Value, k: Value, v: Value, options: AttendOptions): Value;
  /**
   * What x [B, T, W] was 1, 2, … `count` tokens before each, [B, T, W] each, and zeros before an example begins; kept for later
   * tokens as keys and values are, or as a state in a block that has attended before. W is even.
   */
  earlier(x: Value, count: number): Values;
  /**
   * What queries read of a memory that each token adds to, or corrects (`linear-attention.ts`), [B, T, H·W]: of no example but their
   * own; kept for later tokens as one state, however many there were.
   */
  linearAttention(values: LinearAttentionValues): Value;
  /** The heads of x [B, T, n·E], rotated by the positions of their tokens. */
  rotate(x: Value, numHeads: number, rope: RopeConfig): Value;
  /**
   * Gives each layer a part of x [B, T, L, W] of its own, which it reads as `layerInput`. In what stands before the blocks alone.
   */
  toLayers(x: Value): void;
  /** The part of this layer, [B, T, width]. */
  layerInput(width: number): Value;
  /** Keys, as they were rotated, and values of the layer whose these are too (`ModelDefinition.keysFrom`), [B, T, width] each. */
  keysOfOther(width: number): readonly [key: Value, value: Value];
  /** A residual branch: x + f(x). Whoever runs a block may leave its backward out. */
  branch(name: string, x: Value, f: (x: Value) => Value): Value;
  /**
   * Cuts rows [R, ...] into parts of `counts` rows, int64 [E], each for projections of its own; `numPerToken`: rows that a
   * token has in all parts together.
   */
  splitRows(rows: Value, counts: Value, numParts: number, numPerToken: number): Values;
  /** A tensor that is made for each pass. */
  input(input: PassInput): Value;
}
