/** @file The attention of a part, with the cache that it reads. */
import type { Value } from "../../graph/graph.ts";
import { type Rotation, rope } from "../../graph/ops/attention/rope.ts";
import type { Shape } from "../../graph/shape.ts";
import { type AttentionOutputs, type Projected, attention, attentionOverHeads } from "../../nn/attention.ts";
import type { AttendOptions, AttentionOptions } from "../../nn/builder.ts";
import { KEY_POSITIONS, KEY_SEGMENTS, LAST_KEY, NUM_KEYS, POSITIONS, SEGMENTS } from "../../nn/pass.ts";
import { type RopeConfig, ropeTables } from "../../nn/rope/rope-tables.ts";
import type { PartOptions } from "./part-options.ts";
import type { PassValues } from "./pass-values.ts";

/** Inputs of a block that reads a cache. */
export const PAST_KEY = "past_key";
export const PAST_VALUE = "past_value";

/** What a part reads from earlier tokens, and what it keeps for later ones. */
export interface PartCache {
  readonly outputs: Pick<AttentionOutputs, "newKey" | "newValue">;
  /** Keys and values of earlier tokens, by the names of the inputs; empty without a cache. */
  readonly past: Readonly<Record<string, Value>>;
}

/** Attention in a graph. */
export interface PartAttention extends PartCache {
  readonly options: AttentionOptions;
  readonly outputs: AttentionOutputs;
}

/** Tables [R, W/2] of rotary positions. */
function tablesOf(pass: PassValues, rotation: RopeConfig): Record<"cos" | "sin", Value> {
  const { cos, sin } = ropeTables(rotation);
  return { cos: pass.table(cos), sin: pass.table(sin) };
}

/** Makes the rotation of heads in a part. */
function rotationOf(pass: PassValues, config: RopeConfig): Rotation {
  const { neighbours = false } = config;
  return { ...tablesOf(pass, config), positions: pass.input(ropeTables(config).positions), neighbours };
}

/** Rotates the heads of x [B, T, n·E] in a part. */
export function rotateIn(pass: PassValues, x: Value, numHeads: number, rotation: RopeConfig): Value {
  return rope(x, rotationOf(pass, rotation), numHeads);
}

/** Builds the attention of a part; `sinks` is the tensor that the options name. */
export function attendIn(
  pass: PassValues,
  projected: Projected,
  { bias, ...options }: AttendOptions,
  { cache, chunk, sinks }: Pick<PartOptions, "cache" | "chunk"> & { readonly sinks: Value | null },
): PartAttention {
  if (bias && (cache || sinks))
    throw new RangeError("Cannot add a bias to scores over a cache or beside sinks");
  const { numKeyValueHeads: K, headWidth: E, rope: config, comesRotated = false } = options;
  const rotates = config !== null && !comesRotated;
  const readPast = (shape: Shape): { readonly key: Value; readonly value: Value } => ({
    key: pass.graph.input(PAST_KEY, "float32", shape),
    value: pass.graph.input(PAST_VALUE, "float32", shape),
  });
  if (cache === "heads") {
    const [lastKey, numKeys] = [pass.input(LAST_KEY), pass.input(NUM_KEYS)];
    const { key: keys, value: values } = readPast(["B", K, "C", E]);
    const heads = { keys, values, lastKey, numKeys, ...(sinks && { sinks }) };
    const tables = rotates ? tablesOf(pass, config) : null;
    const outputs = attentionOverHeads(projected, options, heads, tables);
    return { options, outputs, past: { [PAST_KEY]: keys, [PAST_VALUE]: values } };
  }
  const queries = { positions: pass.input(POSITIONS), segments: pass.input(SEGMENTS) };
  const rotation = rotates ? rotationOf(pass, config) : null;
  const beside = { rotation, bias: bias ?? null, sinks, chunk };
  if (cache === null) {
    const outputs = attention(projected, options, { ...beside, queries, keys: queries, past: null });
    return { options, outputs, past: {} };
  }
  const keys = { positions: pass.input(KEY_POSITIONS), segments: pass.input(KEY_SEGMENTS) };
  const past = readPast(["B", "P", K * E]);
  const outputs = attention(projected, options, { ...beside, queries, keys, past });
  return { options, outputs, past: { [PAST_KEY]: past.key, [PAST_VALUE]: past.value } };
}
