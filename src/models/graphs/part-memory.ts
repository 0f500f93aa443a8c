/** @file The linear attention of a part, with its memory: the state that is kept for later tokens. */
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
import type { PassValues } from "./pass-values.ts";

/** Input of a block that reads a state, and output for what it has become. */
export const PAST_STATE = "past_state";
export const NEW_STATE = "new_state";

/** Sizes of a state. */
export type MemoryOptions = ReturnType<typeof linearAttentionSizes>;

/** A memory in a graph. */
export interface PartMemory {
  readonly options: MemoryOptions;
  /** What queries read, [B, T, H·W]. */
  readonly read: Value;
  /** The state after earlier tokens, by the name of the input; none without a cache. */
  readonly past: Readonly<Record<string, Value>>;
  /** The state after the new ones, [B, H, D, W], by the name of the output. */
  readonly outputs: Readonly<Record<string, Value>>;
}

/** Builds the memory of a part. */
export function rememberIn(
  pass: PassValues,
  [q, k, v, g, b]: LinearAttentionValues,
  { cache }: Pick<PartOptions, "cache">,
): PartMemory {
  const options = linearAttentionSizes([q, k, v, g]);
  const { numHeads, keyWidth, valueWidth } = options;
  if (cache === null) {
    const read = linearAttention([q, k, v, add(g, pass.input(FRESH_START)), b]);
    return { options, read, past: {}, outputs: {} };
  }
  const past = pass.graph.input(PAST_STATE, "float32", [dimAt(q.shape, 0), numHeads, keyWidth, valueWidth]);
  const [read, state] = cachedLinearAttention([q, k, v, g, b], past);
  return { options, read, past: { [PAST_STATE]: past }, outputs: { [NEW_STATE]: state } };
}
