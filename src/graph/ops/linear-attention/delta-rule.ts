/**
 * @file The gated delta rule: attention whose memory is one matrix S [D, W] a head, in which each token corrects what its key finds.
 *
 *   Sₜ = aₜ Sₜ₋₁ + kₜ uₜᵀ    uₜ = bₜ (vₜ - aₜ Sₜ₋₁ᵀ kₜ)    oₜ = Sₜᵀ qₜ    aₜ = exp gₜ
 *   q, k [B, T, H·D]   v, o [B, T, H·W]   g, b [B, T, H]   S [B, H, D, W]
 *
 * A token at which gₜ is -∞ (or exp gₜ is 0) begins anew. Its gradient is in `delta-rule-gradient.ts`. Paper: "Gated Delta Networks",
 * arXiv:2412.06464, eq. 10.
 */
import { FLOAT_BYTES } from "../../dtype.ts";
import { applyOne, type Op, type Value } from "../../graph.ts";
import { type Bindings, dimAt, dimsOf, evaluateShape, sameShape, showShape, sizeAt } from "../../shape.ts";
import { emitDeltaRuleGradient } from "./delta-rule-gradient.ts";
import { addLinearAttention } from "./linear-attention-nodes.ts";

/** Queries, keys and values [B, T, H·D], [B, T, H·D], [B, T, H·W]; decays g and rates b [B, T, H]. */
export type DeltaRuleValues = readonly [q: Value, k: Value, v: Value, g: Value, b: Value];

/** Width of a head of keys D and of values W. */
function widthsOf([q, k, v, g, b]: DeltaRuleValues): readonly [numHeads: number, key: number, value: number] {
  const [B, T] = dimsOf(q.shape, 3);
  const numHeads = sizeAt(g.shape, -1);
  const [key, value] = [sizeAt(k.shape, -1) / numHeads, sizeAt(v.shape, -1) / numHeads];
  const fits =
    Number.isInteger(key) &&
    Number.isInteger(value) &&
    sameShape(q.shape, k.shape) &&
    sameShape(v.shape, [B, T, numHeads * value]) &&
    sameShape(g.shape, [B, T, numHeads]) &&
    sameShape(b.shape, g.shape);
  if (fits) return [numHeads, key, value];
  const found = [q, k, v, g, b].map(({ shape }) => showShape(shape)).join(", ");
  throw new RangeError(
    `Cannot apply the delta rule to ${found}: expected [B, T, H·D] twice, [B, T, H·W] and [B, T, H] twice`,
  );
}

/** Products with the state, of so many tokens, each with so many passes over it. */
function countProducts(values: DeltaRuleValues, bindings: Bindings, numPasses: number): number {
  const [numHeads, key, value] = widthsOf(values);
  const [B, T] = evaluateShape(values[0].shape, bindings) as [number, number];
  return B * T * numHeads * key * value * numPasses;
}

/** Bytes of states, and of so many copies of what the tokens have. */
function scratchOf(
  values: DeltaRuleValues,
  bindings: Bindings,
  times: Record<"states" | "rows", number>,
): number {
  const [numHeads, key, value] = widthsOf(values);
  const [B, T] = evaluateShape(values[0].shape, bindings) as [number, number];
  const floats = times.states * B * numHeads * key * value + times.rows * B * T * numHeads * (key + value);
  return floats * FLOAT_BYTES;
}

export const deltaRuleOp: Op<Record<string, never>, DeltaRuleValues> = {
  name: "deltaRule",
  infer: (inputs) => {
    widthsOf(inputs);
    return [inputs[2]];
  },
  emit: ({ inputs, outputs: [o] }, emitter) => {
    const [query, key, value, decay, rate] = emitter.names(inputs);
    const outputs = [emitter.name(o), emitter.temporary()] as const;
    const [numHeads] = widthsOf(inputs);
    addLinearAttention(emitter, { query, key, value, decay, rate, state: null }, outputs, { numHeads });
  },
  multiplications: ({ inputs }, bindings) => ({ kind: "float32", count: countProducts(inputs, bindings, 4) }),
  scratchBytes: ({ inputs }, bindings) => scratchOf(inputs, bindings, { states: 1, rows: 0 }),
  vjp: ({ inputs }, [gradient]) => inputs[0].graph.apply(deltaRuleGradientOp, [...inputs, gradient], {}),
};

export const deltaRuleGradientOp: Op<
  Record<string, never>,
  readonly [...DeltaRuleValues, gradient: Value],
  readonly [dq: Value, dk: Value, dv: Value, dg: Value, db: Value]
> = {
  name: "deltaRuleGradient",
  infer: ([q, k, v, g, b, gradient]) => {
    widthsOf([q, k, v, g, b]);
    if (sameShape(gradient.shape, v.shape)) return [q, k, v, g, b];
    throw new RangeError(
      `Cannot differentiate the delta rule of values ${showShape(v.shape)}: gradient ${showShape(gradient.shape)}`,
    );
  },
  emit: (node, emitter) => emitDeltaRuleGradient(emitter, node, sizeAt(node.inputs[3].shape, -1)),
  multiplications: ({ inputs: [q, k, v, g, b] }, bindings) => ({
    kind: "float32",
    count: countProducts([q, k, v, g, b], bindings, 20),
  }),
  scratchBytes: ({ inputs: [q, k, v, g, b] }, bindings) =>
    scratchOf([q, k, v, g, b], bindings, { states: 1, rows: 6 }),
  vjp: "not-differentiable",
};

/** Inputs as above and the state before the first token, [B, H, D, W]; outputs o and the state after the last. */
export const cachedDeltaRuleOp: Op<
  Record<string, never>,
  readonly [...DeltaRuleValues, state: Value],
  readonly [o: Value, state: Value]
> = {
  name: "cachedDeltaRule",
  infer: ([q, k, v, g, b, state]) => {
    const [numHeads, key, value] = widthsOf([q, k, v, g, b]);
    const expected = [dimAt(q.shape, 0), numHeads, key, value];
    if (sameShape(state.shape, expected)) return [v, state];
    throw new RangeError(
      `Cannot apply the delta rule to a state ${showShape(state.shape)}: expected ${showShape(expected)}`,
    );
  },
  emit: ({ inputs, outputs }, emitter) => {
    const [query, key, value, decay, rate, state] = emitter.names(inputs);
    const numHeads = sizeAt(inputs[3].shape, -1);
    const names = emitter.names(outputs);
    addLinearAttention(emitter, { query, key, value, decay, rate, state }, names, { numHeads });
  },
  vjp: "not-differentiable",
};

/** Applies the rule from an empty state; gives o [B, T, H·W]. */
export function deltaRule(values: DeltaRuleValues): Value {
  return applyOne(deltaRuleOp, values, {});
}

/** Applies it after other tokens: o [B, T, H·W], and the state that later ones begin with. */
export function cachedDeltaRule(values: DeltaRuleValues, state: Value): readonly [o: Value, state: Value] {
  return state.graph.apply(cachedDeltaRuleOp, [...values, state], {});
}
