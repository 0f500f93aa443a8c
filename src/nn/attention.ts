/**
 * @file Attention with grouped key/value heads, in chunks of queries, with or without a cache.
 *
 *   A = softmax(cap(s q kᵀ) + mask) v      q [B, T, H·E]   k, v [B, T, K·E]   mask [B, 1, T, S]   S = past + T
 *
 * Papers: "Attention Is All You Need", arXiv:1706.03762, eq. 1; grouped heads: "GQA", arXiv:2305.13245; capped scores:
 * "Gemma 2", arXiv:2408.00118. Scores and mask of one chunk alone are in memory at a time. A chunk of causal queries reads
 * only the keys from its window's start to its own end, so scores far outside are never computed.
 */
import type { Value } from "../graph/graph.ts";
import { add, div, mul, tanh } from "../graph/ops/elementwise.ts";
import { attentionMask } from "../graph/ops/attention-mask.ts";
import { concat } from "../graph/ops/concat.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { reshape } from "../graph/ops/reshape.ts";
import { rope } from "../graph/ops/rope.ts";
import { slice } from "../graph/ops/slice-pad.ts";
import { softmax } from "../graph/ops/softmax.ts";
import { split } from "../graph/ops/split.ts";
import { transpose } from "../graph/ops/transpose.ts";
import { type Dim, addDims, mulDims } from "../graph/shape.ts";
import type { AttentionOptions } from "./builder.ts";

/** Positions and segments of some tokens, int64 [B, T] each. */
export interface Places {
  readonly positions: Value;
  readonly segments: Value;
}

/** What attention reads besides q, k and v. */
export interface AttentionInputs {
  readonly queries: Places;
  /** Of the keys, [B, S]; the queries' own without a cache. */
  readonly keys: Places;
  /** Tables [R, W/2] of rotary positions; null: queries and keys are not rotated. */
  readonly tables: { readonly cos: Value; readonly sin: Value } | null;
  /** Keys (rotated already) and values of earlier tokens, [B, P, K, E]; null: there are none. */
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
  /** Worth saving for a backward pass: rotated queries [B, H, T, E], rotated keys and values [B, K, S, E]. */
  readonly saved: { readonly query: Value; readonly key: Value; readonly value: Value };
}

/** Builds attention of projected q [B, T, H·E], k and v [B, T, K·E]. */
export function attention(
  q: Value,
  k: Value,
  v: Value,
  options: AttentionOptions,
  inputs: AttentionInputs,
): AttentionOutputs {
  const { numHeads: H, numKeyValueHeads: K, headWidth: E } = options;
  const { queries, keys, tables, past } = inputs;
  const [B, T] = q.shape as [Dim, Dim];
  const heads = (x: Value, n: number): Value => transpose(reshape(x, [B, T, n, E]), [0, 2, 1, 3]);
  const rotate = (x: Value): Value => (tables ? rope(x, queries.positions, tables.cos, tables.sin) : x);
  const query = rotate(heads(q, H)); // [B, H, T, E]
  const rotated = rotate(heads(k, K)); // [B, K, T, E]
  const newKey = transpose(rotated, [0, 2, 1, 3]); // [B, T, K, E]
  const newValue = reshape(v, [B, T, K, E]);
  const key = past ? transpose(concat([past.key, newKey], 1), [0, 2, 1, 3]) : rotated; // [B, K, S, E]
  const value = past ? transpose(concat([past.value, newValue], 1), [0, 2, 1, 3]) : heads(v, K);
  const { length, count } = inputs.chunk;
  const outputs = splitQueries(query, length, count).map((part, i) => {
    const range = keyRange(i, inputs.chunk, options);
    const chunk = { start: i * length, end: i === count - 1 ? null : (i + 1) * length, size: part.shape[2] };
    const [own, seen] = [cut(queries, count === 1 ? null : chunk), cut(keys, range)];
    const places = {
      querySegments: own.segments,
      queryPositions: own.positions,
      keySegments: seen.segments,
      keyPositions: seen.positions,
    };
    const mask = attentionMask(places, { causal: options.causal, window: options.window });
    const ofKeys = (x: Value): Value => (range ? slice(x, 2, range.start, range.end) : x);
    return attendChunk(part, ofKeys(key), ofKeys(value), mask, options);
  });
  const joined = concat(outputs, 2); // [B, H, T, E]
  const output = reshape(transpose(joined, [0, 2, 1, 3]), [B, T, H * E]);
  return { output, newKey, newValue, saved: { query, key, value } };
}

function splitQueries(query: Value, length: number, count: number): readonly Value[] {
  const whole = Array.from({ length: count - 1 }, () => length);
  return split(query, 2, [...whole, addDims(query.shape[2] as Dim, -length * (count - 1))]);
}

/** A part of the tokens; `end` null: to the last. */
interface Range {
  readonly start: number;
  readonly end: number | null;
  readonly size?: Dim | undefined;
}

/** The keys that chunk `i` of the queries can see, by their place in the row; null: any. */
function keyRange(
  i: number,
  { length, count }: AttentionInputs["chunk"],
  { causal, window }: AttentionOptions,
): Range | null {
  if (!causal) return null;
  const start = window === null ? 0 : Math.max(0, i * length - window + 1);
  const end = i === count - 1 ? null : (i + 1) * length;
  return start === 0 && end === null ? null : { start, end };
}

function cut({ positions, segments }: Places, range: Range | null): Places {
  const of = (x: Value): Value => (range ? slice(x, 1, range.start, range.end, range.size) : x);
  return { positions: of(positions), segments: of(segments) };
}

/** Queries [B, H, t, E] over keys and values [B, K, s, E]. The heads of a group share one product. */
function attendChunk(query: Value, key: Value, value: Value, mask: Value, options: AttentionOptions): Value {
  const { numHeads: H, numKeyValueHeads: K, headWidth: E, scale, softcap } = options;
  const [B, , t] = query.shape as [Dim, Dim, Dim];
  const s = key.shape[2] as Dim;
  const rows = mulDims(H / K, t);
  const grouped = reshape(query, [B, K, rows, E]);
  const scores = matmul(grouped, key, { transB: true, alpha: scale }); // [B, K, G·t, s]
  const capped = softcap === null ? scores : softCap(scores, softcap);
  const weights = softmax(add(reshape(capped, [B, H, t, s]), mask));
  return reshape(matmul(reshape(weights, [B, K, rows, s]), value), [B, H, t, E]);
}

/** cap · tanh(x / cap), element-wise. */
export function softCap(x: Value, cap: number): Value {
  const c = x.graph.scalar(cap);
  return mul(tanh(div(x, c)), c);
}
