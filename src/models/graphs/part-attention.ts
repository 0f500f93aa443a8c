/** @file The attention of a part, with the cache that it reads. */
import type { Value } from "../../graph/graph.ts";
import type { Shape } from "../../graph/shape.ts";
import { type AttentionOutputs, type Projected, attention, attentionOverHeads } from "../../nn/attention.ts";
import type { AttentionOptions } from "../../nn/builder.ts";
import { KEY_POSITIONS, KEY_SEGMENTS, LAST_KEY, NUM_KEYS, POSITIONS, SEGMENTS } from "../../nn/pass.ts";
import { ropeTables } from "../../nn/rope/rope-tables.ts";
import type { PartOptions } from "./part-options.ts";
import type { PassValues } from "./pass-values.ts";

/** Inputs of a block that reads a cache. */
export const PAST_KEY = "past_key";
export const PAST_VALUE = "past_value";

/** Attention in a graph. */
export interface PartAttention {
  readonly options: AttentionOptions;
  readonly outputs: AttentionOutputs;
  /** Keys and values of earlier tokens, by the names of the inputs; none without a cache. */
  readonly past: Readonly<Record<string, Value>>;
}

/** Builds the attention of a part. */
export function attendIn(
  pass: PassValues,
  projected: Projected,
  options: AttentionOptions,
  { cache, chunk }: Pick<PartOptions, "cache" | "chunk">,
): PartAttention {
  const { numKeyValueHeads: K, headWidth: E, rope } = options;
  const made = rope && ropeTables(rope);
  const tables = made && { cos: pass.table(made.cos), sin: pass.table(made.sin) };
  const readPast = (shape: Shape): { readonly key: Value; readonly value: Value } => ({
    key: pass.graph.input(PAST_KEY, "float32", shape),
    value: pass.graph.input(PAST_VALUE, "float32", shape),
  });
  if (cache === "heads") {
    const [lastKey, numKeys] = [pass.input(LAST_KEY), pass.input(NUM_KEYS)];
    const { key: keys, value: values } = readPast(["B", K, "C", E]);
    const outputs = attentionOverHeads(projected, options, { keys, values, lastKey, numKeys }, tables);
    return { options, outputs, past: { [PAST_KEY]: keys, [PAST_VALUE]: values } };
  }
  const queries = { positions: pass.input(POSITIONS), segments: pass.input(SEGMENTS) };
  if (cache === null) {
    const outputs = attention(projected, options, { queries, keys: queries, tables, past: null, chunk });
    return { options, outputs, past: {} };
  }
  const keys = { positions: pass.input(KEY_POSITIONS), segments: pass.input(KEY_SEGMENTS) };
  const past = readPast(["B", "P", K * E]);
  const outputs = attention(projected, options, { queries, keys, tables, past, chunk });
  return { options, outputs, past: { [PAST_KEY]: past.key, [PAST_VALUE]: past.value } };
}
