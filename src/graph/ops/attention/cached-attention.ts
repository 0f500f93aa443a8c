/**
 * @file Attention of the newest tokens of texts over a cache of keys and values by heads: one node of ONNX Runtime, which rotates
 * queries and keys by their positions, appends keys and values to the cache, and attends; without a gradient.
 *
 *   o = softmax(s R(q) R(k)ᵀ) v    for each head    q, o [B, T, H·E]   k, v [B, T, K·E]   keys, values [B, K, C, E], C ≥ P + T
 *   with sinks [H] the softmax has one more score, of no key
 *
 * The cache is not copied if a program reads and writes it in the same memory. Papers: as `rope.ts`; grouped heads: "GQA",
 * arXiv:2305.13245.
 */
import type { Op, Value, Values } from "../../graph.ts";
import { dimAt, dimsOf, evaluateShape, sameShape, showShape, sizeAt } from "../../shape.ts";
import { splitOp } from "../rows/split.ts";
import { FORWARD_WORK, pairWork } from "./attention-values.ts";

/** Settings of causal attention over tokens that follow each other from position 0. */
export interface CachedAttentionAttributes extends Record<string, unknown> {
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  /** Elements of a head. */
  readonly headWidth: number;
  /** Factor s of the scores. */
  readonly scale: number;
  /** Scores are capped as c · tanh(x / c); null: they are not. */
  readonly softcap: number | null;
  /** How many keys a query sees, itself included; null: all. */
  readonly window: number | null;
  /** Whether elements that are rotated together are neighbours; default: they lie half a head apart. */
  readonly neighbours?: boolean;
}

/** The cache, and where the tokens are in it. */
export interface HeadCacheInputs {
  /** [B, K, C, E] */
  readonly keys: Value;
  readonly values: Value;
  /** Index of the last key of each text, int32 [B]. */
  readonly lastKey: Value;
  /** Keys of the longest text, int32 [1]. */
  readonly numKeys: Value;
  /** [H]; absent: there are none. */
  readonly sinks?: Value | undefined;
}

/** Tables [R, W/2] of rotary positions, R ≥ P + T; null: heads are not rotated. */
type RotaryTables = { readonly cos: Value; readonly sin: Value } | null;

/**
 * Inputs are: q, k and v, or the one projection that contains them (`isJoined`); keys, values, last key, number of keys; sinks
 * (`hasSinks`); cos and sin, if any.
 */
type Attributes = CachedAttentionAttributes & { readonly isJoined: boolean; readonly hasSinks?: boolean };
type Outputs = readonly [o: Value, keys: Value, values: Value];

const NUM_CACHE = 4;

function partsOf(
  inputs: Values,
  { isJoined, hasSinks = false }: Attributes,
): { first: Value; projected: Values; cache: Values; sinks: Values; tables: Values } {
  const start = isJoined ? 1 : 3;
  const end = start + NUM_CACHE;
  const [first, ...others] = inputs.slice(0, start);
  if (!first) throw new RangeError("Cannot attend over a cache without queries");
  const projected = [first, ...others];
  const tablesAt = hasSinks ? end + 1 : end;
  return {
    first,
    projected,
    cache: inputs.slice(start, end),
    sinks: inputs.slice(end, tablesAt),
    tables: inputs.slice(tablesAt),
  };
}

export const cachedAttentionOp: Op<Attributes, Values, Outputs> = {
  name: "cachedAttention",
  infer: (inputs, attributes) => {
    const { numHeads: H, numKeyValueHeads: K, headWidth: E, isJoined } = attributes;
    const { first, projected, cache, sinks, tables } = partsOf(inputs, attributes);
    const [keys, values, lastKey, numKeys] = cache;
    const [B, T] = dimsOf(first.shape, 3);
    const widths = isJoined ? [(H + 2 * K) * E] : [H * E, K * E, K * E];
    const fits =
      keys &&
      values &&
      lastKey &&
      numKeys &&
      H % K === 0 &&
      projected.every(({ shape }, i) => sameShape(shape, [B, T, widths[i]])) &&
      sameShape(keys.shape, [B, K, keys.shape[2], E]) &&
      sameShape(values.shape, keys.shape) &&
      lastKey.dtype === "int32" &&
      sameShape(lastKey.shape, [B]) &&
      numKeys.dtype === "int32" &&
      sameShape(numKeys.shape, [1]) &&
      sinks.every(({ shape }) => sameShape(shape, [H])) &&
      (tables.length === 0 || tables.length === 2) &&
      tables.every(({ shape }) => 2 * sizeAt(shape, 1) <= E);
    if (!fits) {
      const found = inputs.map((one) => `${one.dtype} ${showShape(one.shape)}`).join(", ");
      throw new RangeError(
        `Cannot attend over a cache with ${found}: expected [B, T, ${widths.join("] and [B, T, ")}], [B, ${K}, C, ${E}] twice, int32 [B] and [1], sinks [${H}] if any, and tables of half a head`,
      );
    }
    return [{ dtype: first.dtype, shape: [B, T, H * E] }, keys, values];
  },
  emit: (node, emitter) => {
    const { numHeads, numKeyValueHeads, scale, softcap, window, neighbours = false } = node.attributes;
    const { first, projected, cache, sinks, tables } = partsOf(node.inputs, node.attributes);
    const names = emitter.names(projected);
    // With one projection, ONNX Runtime derives the width of the output from that of the input, so the input declares it.
    if (names.length === 1) emitter.declare(first);
    const given = [
      ...names,
      ...(names.length === 1 ? ["", ""] : []),
      ...emitter.names(cache),
      ...emitter.names(tables),
      // Sinks come after tables, positions and a bias of scores; absent ones are empty names.
      ...(sinks.length > 0 ? [...(tables.length > 0 ? [] : ["", ""]), "", "", ...emitter.names(sinks)] : []),
    ];
    const attributes = {
      num_heads: numHeads,
      kv_num_heads: numKeyValueHeads,
      scale: { float: scale },
      ...(softcap !== null && { softcap: { float: softcap } }),
      ...(window !== null && { local_window_size: window }),
      ...(tables.length > 0 && { do_rotary: 1, ...(neighbours && { rotary_interleaved: 1 }) }),
    };
    emitter.node("com.microsoft.GroupQueryAttention", given, emitter.names(node.outputs), attributes);
  },
  // How many keys the cache holds is unknown here, so its whole capacity counts.
  multiplications: ({ inputs, attributes }, bindings) => {
    const { first, cache } = partsOf(inputs, attributes);
    const [B, T] = dimsOf(evaluateShape(first.shape, bindings), 3);
    const C = dimAt(evaluateShape(cache[0]!.shape, bindings), 2);
    const { numHeads, headWidth: width } = attributes;
    return pairWork(FORWARD_WORK, { numPairs: B * numHeads * T * C, width });
  },
  vjp: "not-differentiable",
};

/** Attends: q [B, T, H·E], k and v [B, T, K·E] give o [B, T, H·E], and the cache with the new keys and values. */
export function attendOverHeads(
  projected: readonly [q: Value, k: Value, v: Value],
  { keys, values, lastKey, numKeys, sinks }: HeadCacheInputs,
  tables: RotaryTables,
  attributes: CachedAttentionAttributes,
): { readonly output: Value; readonly keys: Value; readonly values: Value } {
  const { graph } = projected[0];
  const ofHeads = [keys, values, lastKey, numKeys, ...(sinks ? [sinks] : [])];
  const rest = [...ofHeads, ...(tables ? [tables.cos, tables.sin] : [])];
  const [output, allKeys, allValues] = graph.apply(cachedAttentionOp, [...projected, ...rest], {
    ...attributes,
    ...(sinks && { hasSinks: true }),
    isJoined: false,
  });
  return { output, keys: allKeys, values: allValues };
}

/** Applies attention to the one projection whose three parts are q, k and v; null if there is none. `inputs` begin with q, k and v. */
export function attendJoined(inputs: Values, attributes: CachedAttentionAttributes): Outputs | null {
  const [q, k, v, ...rest] = inputs;
  const node = q?.node;
  if (node?.op !== splitOp || node.outputs.length !== 3) return null;
  if ([q, k, v].some((part, i) => part !== node.outputs[i])) return null;
  const [whole] = node.inputs;
  return whole.graph.apply(cachedAttentionOp, [whole, ...rest], { ...attributes, isJoined: true });
}
