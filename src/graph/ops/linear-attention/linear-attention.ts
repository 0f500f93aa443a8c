/**
 * @file Linear attention: attention whose memory is one matrix S [D, W] per head, part of which is forgotten with each token.
 *
 *   Sₜ = aₜ Sₜ₋₁ + kₜ uₜᵀ    oₜ = Sₜᵀ qₜ    aₜ = exp gₜ
 *   uₜ = vₜ, or by the delta rule, where a token corrects what its key finds:  uₜ = bₜ (vₜ - aₜ Sₜ₋₁ᵀ kₜ)
 *   q, k [B, T, H·D]   v, o [B, T, H·W]   g, b [B, T, H]   S [B, H, D, W]
 *
 * A token whose exp gₜ is 0 starts from an empty state. Papers: "Gated Linear Attention", arXiv:2312.06635; "Gated Delta
 * Networks", arXiv:2412.06464, eq. 10.
 */
import { FLOAT_BYTES } from "../../dtype.ts";
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";
import { type Bindings, dimAt, dimsOf, evaluateShape, sameShape, showShape, sizeAt } from "../../shape.ts";
import { emitDeltaGradient, emitSumGradient } from "./linear-attention-gradient.ts";
import { addLinearAttention } from "./linear-attention-nodes.ts";

/** Queries, keys and values [B, T, H·D], [B, T, H·D], [B, T, H·W], decays g, and rates b of the delta rule. */
export type LinearAttentionValues = readonly [q: Value, k: Value, v: Value, g: Value, b?: Value | undefined];

/** The same as inputs of an operation; rates, if any, are the last. */
type Inputs = readonly [q: Value, k: Value, v: Value, g: Value, ...b: readonly Value[]];

interface Sizes {
  readonly numHeads: number;
  /** Width of a head of queries and keys (D), and of values (W). */
  readonly keyWidth: number;
  readonly valueWidth: number;
}

/** Returns the sizes of the values. @throws RangeError when they do not fit each other */
export function linearAttentionSizes([q, k, v, g, b]: LinearAttentionValues | Inputs): Sizes {
  const [B, T] = dimsOf(q.shape, 3);
  const numHeads = sizeAt(g.shape, -1);
  const [keyWidth, valueWidth] = [sizeAt(k.shape, -1) / numHeads, sizeAt(v.shape, -1) / numHeads];
  const fits =
    Number.isInteger(keyWidth) &&
    Number.isInteger(valueWidth) &&
    sameShape(q.shape, k.shape) &&
    sameShape(v.shape, [B, T, numHeads * valueWidth]) &&
    sameShape(g.shape, [B, T, numHeads]) &&
    (b === undefined || sameShape(b.shape, g.shape));
  if (fits) return { numHeads, keyWidth, valueWidth };
  const found = [q, k, v, g, ...(b ? [b] : [])].map(({ shape }) => showShape(shape)).join(", ");
  throw new RangeError(
    `Cannot attend linearly with ${found}: expected [B, T, H·D] twice, [B, T, H·W] and [B, T, H] once or twice`,
  );
}

/** Multiplications and scratch bytes for the given number of passes over the states and of copies of the rows. */
function costOf(
  values: Inputs,
  bindings: Bindings,
  times: Record<"states" | "rows", number>,
): { readonly count: number; readonly bytes: number } {
  const { numHeads, keyWidth, valueWidth } = linearAttentionSizes(values);
  const [B, T] = evaluateShape(values[0].shape, bindings) as [number, number];
  const state = B * numHeads * keyWidth * valueWidth;
  const rows = times.rows * B * T * numHeads * (keyWidth + valueWidth);
  return { count: times.states * T * state, bytes: (state + rows) * FLOAT_BYTES };
}

const FORWARD = { states: 4, rows: 0 };
const BACKWARD = { states: 20, rows: 6 };

export const linearAttentionOp: Op<NoAttributes, Inputs> = {
  name: "linearAttention",
  infer: (inputs) => {
    linearAttentionSizes(inputs);
    return [inputs[2]];
  },
  emit: ({ inputs, outputs: [o] }, emitter) => {
    const [query, key, value, decay, rate = null] = emitter.names(inputs);
    const outputs = [emitter.name(o), emitter.temporary()] as const;
    const { numHeads } = linearAttentionSizes(inputs);
    addLinearAttention(emitter, { query, key, value, decay, rate, state: null }, outputs, numHeads);
  },
  multiplications: ({ inputs }, bindings) => ({
    kind: "float32",
    count: costOf(inputs, bindings, FORWARD).count,
  }),
  scratchBytes: ({ inputs }, bindings) => costOf(inputs, bindings, FORWARD).bytes,
  vjp: ({ inputs, outputs: [o] }, [gradient]) =>
    o.graph.apply(linearAttentionGradientOp, [gradient, ...inputs], {}),
};

export const linearAttentionGradientOp: Op<
  NoAttributes,
  readonly [gradient: Value, ...Inputs],
  readonly [dq: Value, dk: Value, dv: Value, dg: Value, ...db: readonly Value[]]
> = {
  name: "linearAttentionGradient",
  infer: ([gradient, ...values]) => {
    linearAttentionSizes(values);
    const [, , v] = values;
    if (sameShape(gradient.shape, v.shape)) return values;
    throw new RangeError(
      `Cannot differentiate linear attention with values ${showShape(v.shape)}: gradient ${showShape(gradient.shape)}`,
    );
  },
  emit: ({ inputs, outputs }, emitter) => {
    const [, ...values] = inputs;
    const { numHeads } = linearAttentionSizes(values);
    const [dO, q, k, v, g, b] = emitter.names(inputs);
    const [dq, dk, dv, dg, db] = emitter.names(outputs);
    const names = { inputs: [q, k, v, g, dO], outputs: [dq, dk, dv, dg] } as const;
    if (b === undefined || db === undefined) emitSumGradient(emitter, names, numHeads);
    else emitDeltaGradient(emitter, names, { b, db }, numHeads);
  },
  multiplications: ({ inputs: [, ...values] }, bindings) => ({
    kind: "float32",
    count: costOf(values, bindings, BACKWARD).count,
  }),
  scratchBytes: ({ inputs: [, ...values] }, bindings) => costOf(values, bindings, BACKWARD).bytes,
  vjp: "not-differentiable",
};

/** `state` is that before the first token as an input, and that after the last as an output, [B, H, D, W]. */
export const cachedLinearAttentionOp: Op<
  NoAttributes,
  readonly [state: Value, ...Inputs],
  readonly [o: Value, state: Value]
> = {
  name: "cachedLinearAttention",
  infer: ([state, ...values]) => {
    const { numHeads, keyWidth, valueWidth } = linearAttentionSizes(values);
    const [q, , v] = values;
    const expected = [dimAt(state.shape, 0), numHeads, keyWidth, valueWidth];
    if (sameShape(state.shape, expected) && expected[0] === dimAt(q.shape, 0)) return [v, state];
    throw new RangeError(
      `Cannot attend linearly from a state ${showShape(state.shape)}: expected [B, ${expected.slice(1).join(", ")}]`,
    );
  },
  emit: ({ inputs, outputs }, emitter) => {
    const [, ...values] = inputs;
    const { numHeads } = linearAttentionSizes(values);
    const [state, query, key, value, decay, rate = null] = emitter.names(inputs);
    const given = { query, key, value, decay, rate, state };
    addLinearAttention(emitter, given, emitter.names(outputs), numHeads);
  },
  multiplications: ({ inputs: [, ...values] }, bindings) => ({
    kind: "float32",
    count: costOf(values, bindings, FORWARD).count,
  }),
  vjp: "not-differentiable",
};

/** Attends from an empty state; gives o [B, T, H·W]. */
export function linearAttention(values: LinearAttentionValues): Value {
  return applyOne(linearAttentionOp, present(values), {});
}

/** Attends from the state that earlier tokens left: o [B, T, H·W], and the state for later ones. */
export function cachedLinearAttention(
  values: LinearAttentionValues,
  state: Value,
): readonly [o: Value, state: Value] {
  return state.graph.apply(cachedLinearAttentionOp, [state, ...present(values)], {});
}

function present([q, k, v, g, b]: LinearAttentionValues): Inputs {
  return b ? [q, k, v, g, b] : [q, k, v, g];
}
