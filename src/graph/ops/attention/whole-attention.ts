/**
 * @file Attention of all queries at once, directly on projections [B, T, H·E]: one node of ONNX, without a gradient.
 *
 *   o = softmax(s q kᵀ + mask) v    for each head    q, o [B, T, H·E]   k, v [B, S, K·E]
 *
 * Scores of all pairs exist at once, so there should be few queries, as in text generation; `attention.ts` goes by chunks and has
 * a gradient. Papers as there. Segments and positions are int64.
 */
import { DTYPES, FLOAT_BYTES } from "../../dtype.ts";
import type { Emitter } from "../../emitter.ts";
import { applyOne, type Op, type Value } from "../../graph.ts";
import { dimAt, dimsOf, evaluateShape, sameShape, showShape } from "../../shape.ts";
import { emitMask } from "./attention-mask.ts";
import {
  type AttentionAttributes,
  type AttentionValues,
  FORWARD_WORK,
  pairWork,
  requireWindow,
} from "./attention-values.ts";

/** Settings of attention; the number of query heads is a multiple of that of key heads. */
export interface WholeAttentionAttributes
  extends Pick<AttentionAttributes, "scale" | "causal" | "window">, Record<string, unknown> {
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
}

function check([query, key, value, ...places]: AttentionValues, attributes: WholeAttentionAttributes): void {
  const { numHeads: H, numKeyValueHeads: K } = attributes;
  const [B, T, width] = query.shape;
  const S = key.shape[1];
  const [segments, positions, keySegments, keyPositions] = places;
  const fits =
    H % K === 0 &&
    typeof width === "number" &&
    width % H === 0 &&
    sameShape(key.shape, [B, S, (width / H) * K]) &&
    sameShape(value.shape, key.shape) &&
    places.every(({ dtype }) => dtype === "int64") &&
    [segments, positions].every(({ shape }) => sameShape(shape, [B, T])) &&
    [keySegments, keyPositions].every(({ shape }) => sameShape(shape, [B, S]));
  if (!fits) {
    const found = [query, key, value, ...places].map((one) => `${one.dtype} ${showShape(one.shape)}`);
    throw new RangeError(
      `Cannot attend with ${found.join(", ")}, ${H} heads of queries and ${K} of keys: expected [B, T, H·E], [B, S, K·E] twice, int64 [B, T] and [B, S] twice`,
    );
  }
  requireWindow(attributes);
}

export const wholeAttentionOp: Op<WholeAttentionAttributes, AttentionValues> = {
  name: "wholeAttention",
  infer: (inputs, attributes) => {
    check(inputs, attributes);
    const [{ dtype, shape }] = inputs;
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const { numHeads, numKeyValueHeads, scale, ...seen } = node.attributes;
    const [query, key, value, ...places] = emitter.names(node.inputs);
    const mask = emitter.shared(JSON.stringify(["mask", places, seen]), () => {
      const [segments, positions, ...keys] = places.map((place) => narrow(place, emitter));
      const ofKeys = { segments: keys[0]!, positions: keys[1]! };
      return emitMask(emitter, { segments: segments!, positions: positions! }, ofKeys, seen);
    });
    const attributes = { q_num_heads: numHeads, kv_num_heads: numKeyValueHeads, scale: { float: scale } };
    emitter.node("Attention", [query, key, value, mask], emitter.names(node.outputs), attributes);
  },
  multiplications: ({ inputs: [query, key], attributes: { numHeads } }, bindings) => {
    const [B, T, width] = dimsOf(evaluateShape(query.shape, bindings), 3);
    const S = dimAt(evaluateShape(key.shape, bindings), 1);
    return pairWork(FORWARD_WORK, { numPairs: B * numHeads * T * S, width: width / numHeads });
  },
  // Scores and weights; queries, keys and values by head.
  scratchBytes: ({ inputs: [query, key], attributes: { numHeads } }, bindings) => {
    const [B, T, width] = dimsOf(evaluateShape(query.shape, bindings), 3);
    const [, S, keyWidth] = dimsOf(evaluateShape(key.shape, bindings), 3);
    return FLOAT_BYTES * B * ((2 * numHeads + 1) * T * S + 2 * T * width + 2 * S * keyWidth);
  },
  vjp: "not-differentiable",
};

function narrow(place: string, emitter: Emitter): string {
  return emitter.value("Cast", [place], { to: DTYPES.int32.onnx });
}

/** Attends: q [B, T, H·E] over k and v [B, S, K·E] give [B, T, H·E]. */
export function attendWhole(values: AttentionValues, attributes: WholeAttentionAttributes): Value {
  return applyOne(wholeAttentionOp, values, attributes);
}
