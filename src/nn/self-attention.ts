/**
 * @file Self-attention: separate projections for queries, keys and values or one for all three, norms of queries and keys, and an
 * output projection.
 */
import type { Value, Values } from "../graph/graph.ts";
import { mul, sigmoid } from "../graph/ops/pointwise/elementwise.ts";
import { split } from "../graph/ops/rows/split.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { dimsOf, sizeAt } from "../graph/shape.ts";
import type { AttentionOptions, Builder, LinearOptions } from "./builder.ts";
import type { HeadNorm, Norm } from "./norms.ts";

/** Options in which self-attention differs between families. */
export interface SelfAttentionOptions extends AttentionOptions {
  /** Which projections have a bias. */
  readonly bias: { readonly qkv: boolean; readonly output: boolean };
  /** Norms of queries and keys, applied after rotation if `comesRotated`, else before; null: there are none. */
  readonly queryNorm: Norm | null;
  readonly keyNorm: Norm | null;
  /** Norm of values; default: there is none. */
  readonly valueNorm?: Norm;
  /** Whether values are the projected keys, before the norm of keys; default: they have a projection of their own. */
  readonly valuesAreKeys?: true;
  /** Whether keys and values are those of another layer; default: they are projected. */
  readonly readsOther?: true;
  /** Whether the query projection gives each head a gate after its query; the head's output is multiplied by its sigmoid. */
  readonly isGated?: true;
  /** Builds a bias of the scores from queries and keys [B, T, H·E]; default: none. */
  readonly biasOf?: (b: Builder, query: Value, key: Value) => Value;
}

/** Self-attention with projections, heads and biases only. */
export interface PlainAttention extends AttentionOptions, Pick<SelfAttentionOptions, "bias"> {
  readonly queryNorm: null;
  readonly keyNorm: null;
  readonly valueNorm?: never;
  readonly valuesAreKeys?: never;
  readonly readsOther?: never;
  readonly isGated?: never;
  readonly biasOf?: never;
}

/** Attention without rotation, with heads that divide `width` equally and biases in all projections. */
export function unrotatedAttention(width: number, numHeads: number): Omit<PlainAttention, "causal"> {
  const headWidth = width / numHeads;
  return {
    numHeads,
    numKeyValueHeads: numHeads,
    headWidth,
    scale: headWidth ** -0.5,
    rope: null,
    window: null,
    softcap: null,
    bias: { qkv: true, output: true },
    queryNorm: null,
    keyNorm: null,
  };
}

/** Adds norms on each head of queries and keys. */
export function withHeadNorms(attention: SelfAttentionOptions, normOf: HeadNorm): SelfAttentionOptions {
  const { numHeads, numKeyValueHeads } = attention;
  return { ...attention, queryNorm: normOf(numHeads), keyNorm: normOf(numKeyValueHeads) };
}

/** Names in a checkpoint of the projections and norms, which share a prefix. */
interface AttentionNames {
  readonly prefix: string;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
  /** Default: `q_norm` and `k_norm`. */
  readonly queryNorm?: string;
  readonly keyNorm?: string;
}

/** Builds it from x [B, T, D]. */
export function selfAttention(
  b: Builder,
  x: Value,
  { prefix, queryNorm: nameOfQ = "q_norm", keyNorm: nameOfK = "k_norm", ...names }: AttentionNames,
  options: SelfAttentionOptions,
): Value {
  const {
    bias,
    queryNorm,
    keyNorm,
    valueNorm = null,
    valuesAreKeys = false,
    readsOther = false,
    isGated = false,
    biasOf,
    ...attention
  } = options;
  const { numHeads: H, numKeyValueHeads: K, headWidth: E, rope, comesRotated = false } = attention;
  const numParts = isGated ? 2 : 1;
  const own = b.linear(`${prefix}${names.query}`, x, numParts * H * E, { role: "query", bias: bias.qkv });
  const [q, gate] = splitHeads(own, H, numParts) as [Value, Value | undefined];
  const rotated = (value: Value, numHeads: number): Value =>
    comesRotated && rope ? b.rotate(value, numHeads, rope) : value;
  const normed = (norm: Norm | null, name: string, value: Value): Value =>
    norm ? norm(b, `${prefix}${name}`, value) : value;
  const query = normed(queryNorm, nameOfQ, rotated(q, H));
  const attendOwn = (): Value => {
    const k = b.linear(`${prefix}${names.key}`, x, K * E, { role: "key", bias: bias.qkv });
    const v = valuesAreKeys
      ? k
      : b.linear(`${prefix}${names.value}`, x, K * E, { role: "value", bias: bias.qkv });
    const key = normed(keyNorm, nameOfK, rotated(k, K));
    const added = biasOf ? { bias: biasOf(b, query, key) } : {};
    return b.attend(query, key, normed(valueNorm, "v_norm", v), { ...attention, ...added });
  };
  const attended = readsOther ? attendOther(b, query, attention) : attendOwn();
  const width = sizeAt(x.shape, -1);
  const gated = gate ? mul(attended, sigmoid(gate)) : attended;
  return b.linear(`${prefix}${names.output}`, gated, width, {
    role: "attention-output",
    bias: bias.output,
  });
}

/** Attention of projected queries [B, T, H·E] over keys of another layer, which are already rotated. */
function attendOther(b: Builder, q: Value, attention: AttentionOptions): Value {
  const { numHeads, numKeyValueHeads, headWidth, rope, comesRotated = false } = attention;
  const [key, value] = b.keysOfOther(numKeyValueHeads * headWidth);
  const query = rope && !comesRotated ? b.rotate(q, numHeads, rope) : q;
  return b.attend(query, key, value, { ...attention, comesRotated: true });
}

/** The same for one projection of queries, keys and values. */
interface FusedNames extends Pick<LinearOptions, "storedTransposed"> {
  readonly qkv: string;
  readonly output: string;
  /** Whether its rows are q, k and v of the first head, then of the next; default: all q, all k, all v. */
  readonly isByHead?: boolean;
}

/** Splits [B, T, H·n·E], which has n parts for each head, into n values [B, T, H·E]. */
function splitHeads(fused: Value, numHeads: number, numParts: number): Values {
  if (numParts === 1) return [fused];
  const [B, T] = dimsOf(fused.shape, 3);
  const width = sizeAt(fused.shape, -1) / numHeads / numParts;
  const heads = reshape(fused, [B, T, numHeads, numParts * width]);
  const widths = Array.from({ length: numParts }, () => width);
  return split(heads, 3, widths).map((part) => reshape(part, [B, T, numHeads * width]));
}

/** Builds it from x [B, T, D] with one projection for queries, keys and values. */
export function fusedAttention(
  b: Builder,
  x: Value,
  { qkv, output, isByHead = false, ...stored }: FusedNames,
  { bias, queryNorm: _q, keyNorm: _k, ...attention }: PlainAttention,
): Value {
  const { numHeads: H, numKeyValueHeads: K, headWidth: E } = attention;
  const fused = b.linear(qkv, x, (H + 2 * K) * E, { role: "qkv", bias: bias.qkv, ...stored });
  const [q, k, v] = (isByHead ? splitHeads(fused, H, 3) : split(fused, 2, [H * E, K * E, K * E])) as [
    Value,
    Value,
    Value,
  ];
  const attended = b.attend(q, k, v, attention);
  const width = sizeAt(x.shape, -1);
  return b.linear(output, attended, width, { role: "attention-output", bias: bias.output, ...stored });
}
