/**
 * @file Attention of projected queries, keys and values with rotary positions, with or without a cache.
 *
 *   q [B, T, H·E]   k, v [B, T, K·E]   S = past + T
 *
 * The chunks in which it is computed, and its gradient, are those of the operation (graph/ops/attention/attention.ts).
 */
import type { Value } from "../graph/graph.ts";
import { attend } from "../graph/ops/attention/attention.ts";
import { attendBiased } from "../graph/ops/attention/biased-attention.ts";
import type { AttentionAttributes } from "../graph/ops/attention/attention-values.ts";
import { div, mul, tanh } from "../graph/ops/pointwise/elementwise.ts";
import { concat } from "../graph/ops/shapes/concat.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { type Rotation, rope } from "../graph/ops/attention/rope.ts";
import { transpose } from "../graph/ops/shapes/transpose.ts";
import { attendWhole } from "../graph/ops/attention/whole-attention.ts";
import { dimAt, dimsOf } from "../graph/shape.ts";
import { type HeadCacheInputs, attendOverHeads } from "../graph/ops/attention/cached-attention.ts";
import type { AttentionOptions } from "./builder.ts";

/** Positions and segments of some tokens, int64 [B, T] each. */
interface Places {
  readonly positions: Value;
  readonly segments: Value;
}

/** Projected q [B, T, H·E], k and v [B, T, K·E]. */
export type Projected = readonly [q: Value, k: Value, v: Value];

/** Inputs of attention besides q, k and v. */
interface AttentionInputs {
  readonly queries: Places;
  /** Places of the keys, [B, S]; without a cache they are those of the queries. */
  readonly keys: Places;
  /** Null: queries and keys are not rotated. */
  readonly rotation: Rotation | null;
  /** Keys (already rotated) and values of earlier tokens, [B, P, K·E]; null: there are none. */
  readonly past: { readonly key: Value; readonly value: Value } | null;
  /** A bias of the scores, [B or 1, H, T, T], only without past and sinks; null: there is none. */
  readonly bias: Value | null;
  readonly chunk: AttentionAttributes["chunk"];
  /** Sinks [H]; null: there are none. */
  readonly sinks: Value | null;
}

export interface AttentionOutputs {
  /** [B, T, H·E] */
  readonly output: Value;
  /** Keys and values of the T tokens, to append to a cache. [B, T, K·E] */
  readonly newKey: Value;
  readonly newValue: Value;
  /** Worth saving for a backward pass: rotated queries [B, H, T, E], rotated keys and values [B, K, S, E]. */
  readonly saved: Readonly<Record<string, Value>>;
}

/** Builds attention. */
export function attention(
  projected: Projected,
  options: AttentionOptions,
  inputs: AttentionInputs,
): AttentionOutputs {
  const [q, k, v] = projected;
  const { numHeads: H, numKeyValueHeads: K, headWidth: E, softcap } = options;
  // The node for all queries cannot cap scores before the mask, and has no sinks.
  if (inputs.past && softcap === null && inputs.sinks === null)
    return overCache(projected, options, { ...inputs, past: inputs.past });
  const { scale, causal, window } = options;
  const { queries, keys, rotation, past, bias, chunk, sinks } = inputs;
  const [B, T] = dimsOf(q.shape, 3);
  const heads = (x: Value, n: number): Value => transpose(reshape(x, [B, T, n, E]), [0, 2, 1, 3]);
  const rotate = (x: Value): Value => (rotation ? rope(x, rotation) : x);
  const query = rotate(heads(q, H)); // [B, H, T, E]
  const rotated = rotate(heads(k, K)); // [B, K, T, E]
  const newKey = reshape(transpose(rotated, [0, 2, 1, 3]), [B, T, K * E]);
  const ofAll = (past: Value, fresh: Value): Value => {
    const all = concat([past, fresh], 1);
    return transpose(reshape(all, [B, dimAt(all.shape, 1), K, E]), [0, 2, 1, 3]);
  };
  const key = past ? ofAll(past.key, newKey) : rotated; // [B, K, S, E]
  const value = past ? ofAll(past.value, v) : heads(v, K);
  const places = [queries.segments, queries.positions, keys.segments, keys.positions] as const;
  const values = [query, key, value, ...places] as const;
  const attributes = { scale, softcap, causal, window, chunk };
  const output = bias
    ? attendBiased([...values, bias], attributes)
    : attend(sinks ? [...values, sinks] : values, attributes);
  return { output, newKey, newValue: v, saved: { query, key, value } };
}

/** Attention over a cache, directly on projections; nothing is saved for a backward pass. */
function overCache(
  [q, k, v]: Projected,
  { numHeads: H, numKeyValueHeads: K, ...options }: AttentionOptions,
  {
    queries,
    keys,
    rotation,
    past,
  }: AttentionInputs & { readonly past: NonNullable<AttentionInputs["past"]> },
): AttentionOutputs {
  const { scale, causal, window } = options;
  const rotate = (x: Value, n: number): Value => (rotation ? rope(x, rotation, n) : x);
  const newKey = rotate(k, K);
  const [key, value] = [concat([past.key, newKey], 1), concat([past.value, v], 1)]; // [B, S, K·E]
  const places = [queries.segments, queries.positions, keys.segments, keys.positions] as const;
  const heads = { numHeads: H, numKeyValueHeads: K };
  const output = attendWhole([rotate(q, H), key, value, ...places], { ...heads, scale, causal, window });
  return { output, newKey, newValue: v, saved: {} };
}

/** Whether ONNX Runtime's attention over a cache by heads supports these options: widths must be multiples of 16. */
export function fitsHeadCache({ headWidth, rope, causal }: AttentionOptions): boolean {
  return causal && headWidth % 16 === 0 && (rope === null || rope.width % 16 === 0);
}

/**
 * Attention of texts that begin at position 0 over a cache of keys and values by heads, which it extends. `tables` are those of
 * the rotation. `newKey` and `newValue` of the result are those of all tokens, in the memory of the cache.
 */
export function attentionOverHeads(
  projected: Projected,
  options: AttentionOptions,
  cache: HeadCacheInputs,
  tables: Pick<Rotation, "cos" | "sin"> | null,
): AttentionOutputs {
  const { numHeads, numKeyValueHeads, headWidth, scale, softcap, window, rope } = options;
  // Set only if the pairs to rotate are neighbours rather than half a head apart.
  const pairs = rope?.neighbours ? { neighbours: true } : {};
  const attributes = { numHeads, numKeyValueHeads, headWidth, scale, softcap, window, ...pairs };
  const { output, keys, values } = attendOverHeads(projected, cache, tables, attributes);
  return { output, newKey: keys, newValue: values, saved: {} };
}

/** cap · tanh(x / cap), element-wise. */
export function softCap(x: Value, cap: number): Value {
  const c = x.graph.scalar(cap);
  return mul(tanh(div(x, c)), c);
}
