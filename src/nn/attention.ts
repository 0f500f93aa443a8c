/**
 * @file Attention with grouped key/value heads, in chunks of queries, with or without a cache.
 *
 *   A = softmax(q kᵀ / √E + mask) v      q [B, T, H·E]   k, v [B, T, K·E]   mask [B, 1, T, S]   S = past + T
 *
 * Papers: "Attention Is All You Need", arXiv:1706.03762, eq. 1; grouped heads: "GQA", arXiv:2305.13245.
 * The scores of one chunk alone are in memory at a time. In causal attention a chunk of queries sees only the keys up to
 * its own end, so scores of the far upper triangle are never computed.
 */
import type { Value } from "../graph/graph.ts";
import { add } from "../graph/ops/add.ts";
import { concat } from "../graph/ops/concat.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { reshape } from "../graph/ops/reshape.ts";
import { rope } from "../graph/ops/rope.ts";
import { slice } from "../graph/ops/slice.ts";
import { softmax } from "../graph/ops/softmax.ts";
import { split } from "../graph/ops/split.ts";
import { transpose } from "../graph/ops/transpose.ts";
import { type Dim, addDims, mulDims } from "../graph/shape.ts";

/** Sizes of the heads. */
export interface HeadSizes {
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  readonly headWidth: number;
}

/** What attention reads besides q, k and v. */
export interface AttentionInputs {
  /** Added to the scores: 0 where a query may look, very negative where not. [B, 1, T, S] */
  readonly mask: Value;
  /** The mask hides from each query the keys after it. */
  readonly causal: boolean;
  /** Positions int64 [B, T], and tables [P, E/2]; null: queries and keys are not turned. */
  readonly rope: { readonly positions: Value; readonly cos: Value; readonly sin: Value } | null;
  /** Keys (turned already) and values of earlier tokens, [B, P, K, E]; null: there are none. */
  readonly past: { readonly key: Value; readonly value: Value } | null;
  /** Queries of one chunk, and how many chunks T makes; one chunk for a T that is not known to be longer. */
  readonly chunk: { readonly length: number; readonly count: number };
}

/** What attention gives. */
export interface AttentionOutputs {
  /** [B, T, H·E] */
  readonly output: Value;
  /** Keys and values of the T tokens, to append to a cache. [B, T, K, E] */
  readonly newKey: Value;
  readonly newValue: Value;
  /** Worth keeping for a backward pass: turned queries [B, H, T, E], turned keys and values [B, K, S, E]. */
  readonly kept: { readonly query: Value; readonly key: Value; readonly value: Value };
}

/** Builds attention of projected q [B, T, H·E], k and v [B, T, K·E]. */
export function attention(
  q: Value,
  k: Value,
  v: Value,
  sizes: HeadSizes,
  inputs: AttentionInputs,
): AttentionOutputs {
  const { numHeads: H, numKeyValueHeads: K, headWidth: E } = sizes;
  const [B, T] = q.shape as [Dim, Dim];
  const heads = (x: Value, n: number): Value => transpose(reshape(x, [B, T, n, E]), [0, 2, 1, 3]);
  const turn = (x: Value): Value =>
    inputs.rope ? rope(x, inputs.rope.positions, inputs.rope.cos, inputs.rope.sin) : x;
  const query = turn(heads(q, H)); // [B, H, T, E]
  const turned = turn(heads(k, K)); // [B, K, T, E]
  const newKey = transpose(turned, [0, 2, 1, 3]); // [B, T, K, E]
  const newValue = reshape(v, [B, T, K, E]);
  const { past } = inputs;
  const key = past ? transpose(concat([past.key, newKey], 1), [0, 2, 1, 3]) : turned; // [B, K, S, E]
  const value = past ? transpose(concat([past.value, newValue], 1), [0, 2, 1, 3]) : heads(v, K);
  const { length, count } = inputs.chunk;
  const outputs = splitQueries(query, length, count).map((part, i) => {
    const last = i === count - 1;
    const end = (i + 1) * length;
    const seesAll = last || !inputs.causal;
    const cut = (x: Value, axis: number): Value => (seesAll ? x : slice(x, axis, 0, end));
    const rows =
      count === 1 ? inputs.mask : maskRows(inputs.mask, i * length, last ? null : end, part.shape[2] as Dim);
    return attendChunk(part, cut(key, 2), cut(value, 2), cut(rows, 3), sizes);
  });
  const joined = concat(outputs, 2); // [B, H, T, E]
  const output = reshape(transpose(joined, [0, 2, 1, 3]), [B, T, H * E]);
  return { output, newKey, newValue, kept: { query, key, value } };
}

function splitQueries(query: Value, length: number, count: number): readonly Value[] {
  const whole = Array.from({ length: count - 1 }, () => length);
  return split(query, 2, [...whole, addDims(query.shape[2] as Dim, -length * (count - 1))]);
}

function maskRows(mask: Value, start: number, end: number | null, size: Dim): Value {
  return slice(mask, 2, start, end, size);
}

/** Queries [B, H, t, E] over keys and values [B, K, s, E]. The heads of a group share one product. */
function attendChunk(query: Value, key: Value, value: Value, mask: Value, sizes: HeadSizes): Value {
  const { numHeads: H, numKeyValueHeads: K, headWidth: E } = sizes;
  const [B, , t] = query.shape as [Dim, Dim, Dim];
  const s = key.shape[2] as Dim;
  const rows = mulDims(H / K, t);
  const grouped = reshape(query, [B, K, rows, E]);
  const scores = matmul(grouped, key, { transB: true, alpha: E ** -0.5 }); // [B, K, G·t, s]
  const weights = softmax(add(reshape(scores, [B, H, t, s]), mask));
  return reshape(matmul(reshape(weights, [B, K, rows, s]), value), [B, H, t, E]);
}
