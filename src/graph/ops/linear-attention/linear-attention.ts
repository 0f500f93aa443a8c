/**
 * @file Linear attention: attention whose memory is one matrix S [D, W] a head, which forgets a part of itself with each token.
 *
 *   Sₜ = aₜ Sₜ₋₁ + kₜ uₜᵀ    oₜ = Sₜᵀ qₜ    aₜ = exp gₜ
 *   uₜ = vₜ, or by the delta rule, by which a token corrects what its key finds:  uₜ = bₜ (vₜ - aₜ Sₜ₋₁ᵀ kₜ)
 *   q, k [B, T, H·D]   v, o [B, T, H·W]   g, b [B, T, H]   S [B, H, D, W]
 *
 * A token at which exp gₜ is 0 begins anew. Papers: "Gated Linear Attention", arXiv:2312.06635; "Gated Delta Networks",
 * arXiv:2412.06464, eq. 10.
 */
import { FLOAT_BYTES } from "../../dtype.ts";
import { applyOne, type NoAttributes, type Op, type Value, type Values } from "../../graph.ts";
import { type Bindings, dimAt, dimsOf, evaluateShape, sameShape, showShape, sizeAt } from "../../shape.ts";
import { emitDeltaGradient, emitSumGradient } from "./linear-attention-gradient.ts";
import { addLinearAttention } from "./linear-attention-nodes.ts";

/** Queries, keys and values [B, T, H·D], [B, T, H·D], [B, T, H·W], decays g, and rates b of the delta rule. */
export type LinearAttentionValues = readonly [q: Value, k: Value, v: Value, g: Value, b?: Value | undefined];

interface Sizes {
  readonly numHeads: number;
  /** Elements of a head of queries and keys, and of values. */
  readonly keyWidth: number;
  readonly valueWidth: number;
}

/** Sizes of the values, or of those among inputs. @throws RangeError */
export function linearAttentionSizes([q, k, v, g, b]: Values): Sizes {
  if (!q || !k || !v || !g)
    throw new RangeError("Cannot attend linearly without queries, keys, values and decays");
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

/** Multiplications, and bytes between nodes, of values whose states are gone through so often, with so many copies of their rows. */
function costOf(
  values: Values,
  bindings: Bindings,
  times: Record<"states" | "rows", number>,
): { readonly count: number; readonly bytes: number } {
  const { numHeads, keyWidth, valueWidth } = linearAttentionSizes(values);
  const [B, T] = evaluateShape(values[0]!.shape, bindings) as [number, number];
  const state = B * numHeads * keyWidth * valueWidth;
  const rows = times.rows * B * T * numHeads * (keyWidth + valueWidth);
  return { count: times.states * T * state, bytes: (state + rows) * FLOAT_BYTES };
}

const FORWARD = { states: 4, rows: 0 };
const BACKWARD = { states: 20, rows: 6 };

export const linearAttentionOp: Op<NoAttributes, Values> = {
  name: "linearAttention",
  infer: (inputs) => {
    linearAttentionSizes(inputs);
    return [inputs[2]!];
  },
  emit: ({ inputs, outputs: [o] }, emitter) => {
    const [query, key, value, decay, rate = null] = emitter.names(inputs) as [
      string,
      string,
      string,
      string,
      string?,
    ];
    const outputs = [emitter.name(o), emitter.temporary()] as const;
    const { numHeads } = linearAttentionSizes(inputs);
    addLinearAttention(emitter, { query, key, value, decay, rate, state: null }, outputs, { numHeads });
  },
  multiplications: ({ inputs }, bindings) => ({
    kind: "float32",
    count: costOf(inputs, bindings, FORWARD).count,
  }),
  scratchBytes: ({ inputs }, bindings) => costOf(inputs, bindings, FORWARD).bytes,
  vjp: ({ inputs }, [gradient]) =>
    inputs[0]!.graph.apply(linearAttentionGradientOp, [...inputs, gradient], {}),
};

/** Inputs as above, the gradient of o last; outputs are the gradients of the others. */
export const linearAttentionGradientOp: Op<NoAttributes, Values, Values> = {
  name: "linearAttentionGradient",
  infer: (inputs) => {
    const values = inputs.slice(0, -1);
    linearAttentionSizes(values);
    const [v, gradient] = [values[2]!, inputs.at(-1)!];
    if (sameShape(gradient.shape, v.shape)) return values;
    throw new RangeError(
      `Cannot differentiate linear attention with values ${showShape(v.shape)}: gradient ${showShape(gradient.shape)}`,
    );
  },
  emit: ({ inputs, outputs }, emitter) => {
    const { numHeads } = linearAttentionSizes(inputs.slice(0, -1));
    const [q, k, v, g, b, dO = b] = emitter.names(inputs) as [
      string,
      string,
      string,
      string,
      string,
      string?,
    ];
    const [dq, dk, dv, dg, db] = emitter.names(outputs) as [string, string, string, string, string?];
    const names = { inputs: [q, k, v, g, dO], outputs: [dq, dk, dv, dg] } as const;
    if (db === undefined) emitSumGradient(emitter, names, numHeads);
    else emitDeltaGradient(emitter, names, { b, db }, numHeads);
  },
  multiplications: ({ inputs }, bindings) => ({
    kind: "float32",
    count: costOf(inputs.slice(0, -1), bindings, BACKWARD).count,
  }),
  scratchBytes: ({ inputs }, bindings) => costOf(inputs.slice(0, -1), bindings, BACKWARD).bytes,
  vjp: "not-differentiable",
};

/** Inputs as above, the state before the first token last, [B, H, D, W]; outputs o and the state after the last. */
export const cachedLinearAttentionOp: Op<NoAttributes, Values, readonly [o: Value, state: Value]> = {
  name: "cachedLinearAttention",
  infer: (inputs) => {
    const [values, state] = [inputs.slice(0, -1), inputs.at(-1)!];
    const { numHeads, keyWidth, valueWidth } = linearAttentionSizes(values);
    const expected = [dimAt(state.shape, 0), numHeads, keyWidth, valueWidth];
    if (sameShape(state.shape, expected) && expected[0] === dimAt(values[0]!.shape, 0))
      return [values[2]!, state];
    throw new RangeError(
      `Cannot attend linearly from a state ${showShape(state.shape)}: expected [B, ${expected.slice(1).join(", ")}]`,
    );
  },
  emit: ({ inputs, outputs }, emitter) => {
    const { numHeads } = linearAttentionSizes(inputs.slice(0, -1));
    const names = emitter.names(inputs);
    const [query, key, value, decay, rate = null] = names.slice(0, -1) as [
      string,
      string,
      string,
      string,
      string?,
    ];
    const given = { query, key, value, decay, rate, state: names.at(-1)! };
    addLinearAttention(emitter, given, emitter.names(outputs), { numHeads });
  },
  vjp: "not-differentiable",
};

/** Attends from an empty state; gives o [B, T, H·W]. */
export function linearAttention(values: LinearAttentionValues): Value {
  return applyOne(linearAttentionOp, present(values), {});
}

/** Attends after other tokens: o [B, T, H·W], and the state that later ones begin with. */
export function cachedLinearAttention(
  values: LinearAttentionValues,
  state: Value,
): readonly [o: Value, state: Value] {
  return state.graph.apply(cachedLinearAttentionOp, [...present(values), state], {});
}

function present([q, k, v, g, b]: LinearAttentionValues): Values {
  return b ? [q, k, v, g, b] : [q, k, v, g];
}
