/**
 * @file Attention with grouped key/value heads, by chunks of queries; its gradient computes the scores again, chunk by chunk.
 *
 *   P = softmax(cap(s q kᵀ) + mask)    o = P v    q [B, H, T, E]   k, v [B, K, S, E]   o, do [B, T, H·E]
 *   dS = P ∘ (do vᵀ - Σ do ∘ o)        dq = s dS k    dk = s dSᵀ q    dv = Pᵀ do
 *   with sinks the softmax has one more score, of no key: its weight only enters the sum, and its gradient is its dS
 *
 * Papers: arXiv:1706.03762, eq. 1; grouped heads: "GQA", arXiv:2305.13245; capped scores: "Gemma 2", arXiv:2408.00118; the gradient from
 * o instead of P: "FlashAttention", arXiv:2205.14135, B.4. A chunk of causal queries reads only the keys from the start of its first
 * query's window or segment to its own end, others those in the window of any of its queries, so scores far outside are never computed.
 */
import { FLOAT_BYTES } from "../../dtype.ts";
import { applyOne, type Multiplications, type Op, type Value } from "../../graph.ts";
import {
  type Bindings,
  type Shape,
  dimAt,
  dimsOf,
  evaluateShape,
  mulDims,
  numElements,
  sameShape,
  showShape,
} from "../../shape.ts";
import { emitAttention, emitAttentionGradient } from "./attention-chunks.ts";
import {
  type AttentionAttributes,
  type AttentionValues,
  BACKWARD_WORK,
  FORWARD_WORK,
  type PairWork,
  type ValuesAndMore,
  pairWork,
  requireWindow,
} from "./attention-values.ts";

/** Refuses values that do not fit each other. @throws RangeError */
export function requireAttention(
  [query, key, value, segments, positions, keySegments, keyPositions]: ValuesAndMore,
  attributes: AttentionAttributes,
): void {
  const [B, H, T, E] = query.shape;
  const [, K, S] = key.shape;
  const places = [segments, positions, keySegments, keyPositions];
  const { dtype } = segments;
  const fits =
    typeof E === "number" &&
    typeof H === "number" &&
    typeof K === "number" &&
    H % K === 0 &&
    sameShape(key.shape, [B, K, S, E]) &&
    sameShape(value.shape, key.shape) &&
    (dtype === "int32" || dtype === "int64") &&
    places.every((place) => place.dtype === dtype) &&
    [segments, positions].every(({ shape }) => sameShape(shape, [B, T])) &&
    [keySegments, keyPositions].every(({ shape }) => sameShape(shape, [B, S]));
  if (!fits) {
    const found = [query, key, value, ...places].map((one) => `${one.dtype} ${showShape(one.shape)}`);
    throw new RangeError(
      `Cannot attend with ${found.join(", ")}: expected [B, H, T, E], [B, K, S, E] twice, [B, T] and [B, S] twice, int32 or int64`,
    );
  }
  requireWindow(attributes);
}

/** Bytes of the given number of tensors of one chunk's scores, of queries and of keys; the mask adds a float and a byte for each pair. */
export function attentionScratch(
  [query, key]: ValuesAndMore,
  { causal, window, chunk: { length, count } }: AttentionAttributes,
  bindings: Bindings,
  times: { readonly scores: number; readonly queries: number; readonly keys: number },
): number {
  const queries = evaluateShape(query.shape, bindings);
  const keys = evaluateShape(key.shape, bindings);
  const [B, H, T] = dimsOf(queries, 4);
  const S = dimAt(keys, 2);
  const t = count === 1 ? T : length;
  const s = count === 1 || window === null ? S : Math.min(S, (causal ? window : 2 * window) + t);
  const floats =
    (times.scores * H + 1.25) * B * t * s +
    times.queries * numElements(queries) +
    times.keys * numElements(keys);
  return floats * FLOAT_BYTES;
}

/** Work on all computed pairs, including those that the mask hides; what segments save is not known here. */
export function attentionWork(
  [query, key]: ValuesAndMore,
  { causal, window, chunk: { length, count } }: AttentionAttributes,
  bindings: Bindings,
  work: PairWork,
): Multiplications {
  const [B, H, T, E] = dimsOf(evaluateShape(query.shape, bindings), 4);
  const S = dimAt(evaluateShape(key.shape, bindings), 2);
  const step = count === 1 ? T : length;
  let numPairs = 0;
  for (let start = 0; start < T; start += step) {
    const end = Math.min(T, start + step);
    const first = count === 1 || window === null ? 0 : Math.max(0, start - window + 1);
    const last = count === 1 ? S : causal ? end : Math.min(S, end + (window ?? S) - 1);
    numPairs += (end - start) * (last - first);
  }
  return pairWork(work, { numPairs: B * H * numPairs, width: E });
}

/** The shape of the output for q [B, H, T, E]: [B, T, H·E]. */
export function attendedShape(query: Value): Shape {
  const [B, H, T, E] = dimsOf(query.shape, 4);
  return [B, T, mulDims(H, E)];
}

/** Refuses outputs or gradients whose shape does not fit the queries. @throws RangeError */
export function requireAttended(query: Value, given: readonly Value[]): void {
  const expected = attendedShape(query);
  for (const { shape } of given) {
    if (!sameShape(shape, expected))
      throw new RangeError(
        `Cannot differentiate attention of ${showShape(query.shape)}: gradient ${showShape(shape)}`,
      );
  }
}

/** Sinks, if there are any, are the last of the values. */
type SinkValues = readonly [...AttentionValues, ...sinks: readonly Value[]];

function requireSinks([query, , , , , , , sinks]: SinkValues, { softcap }: AttentionAttributes): void {
  if (!sinks || (sameShape(sinks.shape, query.shape.slice(1, 2)) && softcap === null)) return;
  throw new RangeError(
    `Cannot attend from ${showShape(query.shape)} with sinks ${showShape(sinks.shape)}: expected one for each head, and scores that are not capped`,
  );
}

export const attentionOp: Op<AttentionAttributes, SinkValues> = {
  name: "attention",
  infer: (inputs, attributes) => {
    requireAttention(inputs, attributes);
    requireSinks(inputs, attributes);
    const [query] = inputs;
    return [{ dtype: query.dtype, shape: attendedShape(query) }];
  },
  emit: (node, emitter) => emitAttention(node, emitter, { sinks: node.inputs[7] }),
  multiplications: ({ inputs, attributes }, bindings) =>
    attentionWork(inputs, attributes, bindings, FORWARD_WORK),
  scratchBytes: ({ inputs, attributes }, bindings) =>
    attentionScratch(inputs, attributes, bindings, { scores: inputs[7] ? 3 : 2, queries: 2, keys: 2 }),
  vjp: ({ inputs, outputs: [output], attributes }, [gradient]) => {
    const [dQuery, dKey, dValue, ...ofSinks] = output.graph.apply(
      attentionGradientOp,
      [output, gradient, ...inputs],
      attributes,
    );
    return [dQuery, dKey, dValue, null, null, null, null, ...ofSinks];
  },
};

export const attentionGradientOp: Op<
  AttentionAttributes,
  readonly [output: Value, gradient: Value, ...SinkValues],
  readonly [dQuery: Value, dKey: Value, dValue: Value, ...dSinks: readonly Value[]]
> = {
  name: "attentionGradient",
  infer: ([output, gradient, query, key, value, , , , , sinks]) => {
    requireAttended(query, [output, gradient]);
    return sinks ? [query, key, value, sinks] : [query, key, value];
  },
  emit: (node, emitter) => emitAttentionGradient(node, emitter, { sinks: node.inputs[9] }),
  multiplications: ({ inputs: [, , ...values], attributes }, bindings) =>
    attentionWork(values, attributes, bindings, BACKWARD_WORK),
  scratchBytes: ({ inputs: [, , ...values], attributes }, bindings) => {
    const scores = attributes.softcap === null && !values[7] ? 2 : 3;
    return attentionScratch(values, attributes, bindings, { scores, queries: 3, keys: 6 });
  },
  vjp: "not-differentiable",
};

/** Attends: q [B, H, T, E] over k and v [B, K, S, E] give [B, T, H·E]. */
export function attend(values: SinkValues, attributes: AttentionAttributes): Value {
  return applyOne(attentionOp, values, attributes);
}
