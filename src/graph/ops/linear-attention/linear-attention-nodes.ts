/** @file One node of ONNX Runtime's linear attention. */
import type { Emitter } from "../../emitter.ts";

/** A decay that clears the state: its exponential is 0 in float32. */
export const FORGET_ALL = -1e4;

/** Names of the inputs of one node. */
interface LinearAttentionInputs {
  /** [B, T, H·D] */
  readonly query: string;
  /** [B, T, H·D] */
  readonly key: string;
  /** [B, T, H·W] */
  readonly value: string;
  /** Logarithms of the share of the state that is kept, [B, T, H]. */
  readonly decay: string;
  /** Rates b of the delta rule, [B, T, H]; null: values are added unchanged. */
  readonly rate: string | null;
  /** The state before the first token, [B, H, D, W]; null: zeros. */
  readonly state: string | null;
}

/**
 * Adds the node; `outputs` are what queries read [B, T, H·W] after each token, and the state after the last [B, H, D, W]. Each of
 * `numHeads` heads has a state. After a token it is S = e^g S' + k (b (v - e^g S'ᵀ k))ᵀ, or e^g S' + k vᵀ without rates.
 */
export function addLinearAttention(
  emitter: Emitter,
  { query, key, value, decay, rate, state }: LinearAttentionInputs,
  outputs: readonly [read: string, state: string],
  numHeads: number,
): void {
  const optional = rate === null ? [] : [rate];
  emitter.node(
    "com.microsoft.LinearAttention",
    [query, key, value, state ?? "", decay, ...optional],
    outputs,
    {
      update_rule: rate === null ? "gated" : "gated_delta",
      q_num_heads: numHeads,
      kv_num_heads: numHeads,
      scale: { float: 1 },
    },
  );
}

/** Adds the node with an empty initial state, ignoring the final one; returns what queries read. */
export function linearAttentionOf(
  emitter: Emitter,
  inputs: Omit<LinearAttentionInputs, "state">,
  numHeads: number,
): string {
  const read = emitter.temporary();
  addLinearAttention(emitter, { ...inputs, state: null }, [read, emitter.temporary()], numHeads);
  return read;
}
