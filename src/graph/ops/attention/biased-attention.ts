/**
 * @file Attention with a bias of the scores, and its gradient: that of the bias is that of the scores.
 *
 *   P = softmax(s q kᵀ + bias + mask)    bias [B or 1, H, T, S]    all else as in `attention.ts`
 *
 * The bias of all pairs is in memory at once; chunks of queries read their rows of it. Queries see keys on both sides.
 */
import { applyOne, type Op, type Value } from "../../graph.ts";
import { dimsOf, sameShape, showShape } from "../../shape.ts";
import { sumTo } from "../shapes/reduce-expand.ts";
import { emitAttention, emitAttentionGradient } from "./attention-chunks.ts";
import {
  attendedShape,
  attentionScratch,
  attentionWork,
  requireAttended,
  requireAttention,
} from "./attention.ts";
import {
  type AttentionAttributes,
  type AttentionValues,
  BACKWARD_WORK,
  FORWARD_WORK,
} from "./attention-values.ts";

type BiasedValues = readonly [...AttentionValues, bias: Value];

function check(values: BiasedValues, attributes: AttentionAttributes): void {
  requireAttention(values, attributes);
  const [query, key, , , , , , bias] = values;
  const { causal, window, softcap } = attributes;
  const [B, H, T] = dimsOf(query.shape, 4);
  const rest = [H, T, dimsOf(key.shape, 4)[2]];
  const { dtype, shape } = bias;
  const fits = dtype === "float32" && (sameShape(shape, [B, ...rest]) || sameShape(shape, [1, ...rest]));
  if (!fits) {
    throw new RangeError(
      `Cannot add a bias of ${dtype} ${showShape(shape)} to scores, expected float32 ${showShape([B, ...rest])}, or 1 in the place of ${B}`,
    );
  }
  if (causal || window !== null || softcap !== null)
    throw new RangeError("Cannot add a bias to scores: they are capped, or keys are hidden by their places");
}

export const biasedAttentionOp: Op<AttentionAttributes, BiasedValues> = {
  name: "biasedAttention",
  infer: (inputs, attributes) => {
    check(inputs, attributes);
    const [query] = inputs;
    return [{ dtype: query.dtype, shape: attendedShape(query) }];
  },
  emit: (node, emitter) => emitAttention(node, emitter, { bias: node.inputs[7] }),
  multiplications: ({ inputs, attributes }, bindings) =>
    attentionWork(inputs, attributes, bindings, FORWARD_WORK),
  scratchBytes: ({ inputs, attributes }, bindings) =>
    attentionScratch(inputs, attributes, bindings, { scores: 3, queries: 2, keys: 2 }),
  vjp: ({ inputs, outputs: [output], attributes }, [gradient]) => {
    const [dQuery, dKey, dValue, dBias] = output.graph.apply(
      biasedAttentionGradientOp,
      [output, gradient, ...inputs],
      attributes,
    );
    return [dQuery, dKey, dValue, null, null, null, null, sumTo(dBias, inputs[7].shape)];
  },
};

export const biasedAttentionGradientOp: Op<
  AttentionAttributes,
  readonly [output: Value, gradient: Value, ...BiasedValues],
  readonly [dQuery: Value, dKey: Value, dValue: Value, dBias: Value]
> = {
  name: "biasedAttentionGradient",
  infer: ([output, gradient, ...values], attributes) => {
    check(values, attributes);
    const [query, key, value, , , , , bias] = values;
    requireAttended(query, [output, gradient]);
    const [B, H, T] = dimsOf(query.shape, 4);
    const scores = [B, H, T, dimsOf(key.shape, 4)[2]];
    return [query, key, value, { dtype: bias.dtype, shape: scores }];
  },
  emit: (node, emitter) => emitAttentionGradient(node, emitter, { bias: node.inputs[9] }),
  multiplications: ({ inputs: [, , ...values], attributes }, bindings) =>
    attentionWork(values, attributes, bindings, BACKWARD_WORK),
  scratchBytes: ({ inputs: [, , ...values], attributes }, bindings) =>
    attentionScratch(values, attributes, bindings, { scores: 4, queries: 3, keys: 6 }),
  vjp: "not-differentiable",
};

/** Attends: q [B, H, T, E] over k and v [B, K, S, E] give [B, T, H·E]. */
export function attendBiased(values: BiasedValues, attributes: AttentionAttributes): Value {
  return applyOne(biasedAttentionOp, values, attributes);
}
