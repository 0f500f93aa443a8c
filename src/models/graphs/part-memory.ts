/** @file The linear attention of a part, and the state that it keeps for later tokens. */
import type { Value } from "../../graph/graph.ts";
import {
  type LinearAttentionValues,
  cachedLinearAttention,
  linearAttention,
  linearAttentionSizes,
} from "../../graph/ops/linear-attention/linear-attention.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { dimAt } from "../../graph/shape.ts";
import { FRESH_START } from "../../nn/pass.ts";
import type { PartOptions } from "./part-options.ts";
import { type PartState, type StateOptions, pastOf } from "./part-state.ts";
import type { PassValues } from "./pass-values.ts";

/** A memory in a graph. */
interface PartMemory {
  readonly options: StateOptions;
  /** The output of queries, [B, T, H·W]. */
  readonly read: Value;
  /** The memory's matrix, [B, H, D, W]; null without a cache. */
  readonly state: PartState | null;
}

/** Builds the memory of a part. */
export function rememberIn(
  pass: PassValues,
  [q, k, v, g, b]: LinearAttentionValues,
  { cache }: Pick<PartOptions, "cache">,
): PartMemory {
  const { numHeads, keyWidth, valueWidth } = linearAttentionSizes([q, k, v, g]);
  const options = { name: "state", shape: [numHeads, keyWidth, valueWidth] };
  if (cache === null) {
    const read = linearAttention([q, k, v, add(g, pass.input(FRESH_START)), b]);
    return { options, read, state: null };
  }
  const past = pass.graph.input(pastOf(options), "float32", [dimAt(q.shape, 0), ...options.shape]);
  const [read, next] = cachedLinearAttention([q, k, v, g, b], past);
  return { options, read, state: { ...options, past, next } };
}
