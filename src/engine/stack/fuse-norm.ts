/**
 * @file A sum and the norm of it, as one operation where a residual stream is normalised for the next branch; and factors on a
 * norm, which its weight takes in.
 */
import type { AnyNode, Value } from "../../graph/graph.ts";
import { addRmsNormOp } from "../../graph/ops/norms/add-rms-norm.ts";
import { addOp, mul, mulOp } from "../../graph/ops/pointwise/elementwise.ts";
import { rmsNormOp } from "../../graph/ops/norms/rms-norm.ts";
import { sameShape } from "../../graph/shape.ts";

/**
 * Applies a norm together with the sum that it reads, if it is one: what comes after reads both from there, and the sum of
 * before is nobody's. `readers`: how often each value is read; `places`: which value of the new graph each has become.
 */
export function fuseNorm(
  node: AnyNode,
  readers: ReadonlyMap<Value, number>,
  places: Map<Value, Value>,
): boolean {
  const [x, weight] = node.inputs as [Value, Value];
  const [y, deviation] = node.outputs as [Value, Value];
  const sum = places.get(x);
  const factors = places.get(weight);
  if (node.op !== rmsNormOp || readers.has(deviation) || !factors || sum?.node?.op !== addOp) return false;
  const [a, b] = sum.node.inputs as [Value, Value];
  if (sum.shape.length !== 3 || !sameShape(a.shape, b.shape)) return false;
  const attributes = node.attributes as { readonly epsilon: number };
  const [total, normed] = sum.graph.apply(addRmsNormOp, [a, b, factors], attributes);
  places.set(x, total);
  places.set(y, normed);
  return true;
}

/** Multiplies the weight of a norm instead of its result, if a node is that product with factors [D] and alone reads the result. */
export function foldFactors(
  node: AnyNode,
  readers: ReadonlyMap<Value, number>,
  places: Map<Value, Value>,
): boolean {
  const [y, factors] = node.inputs as [Value, Value];
  const own = y?.node;
  const made = places.get(y)?.node;
  const by = places.get(factors);
  if (node.op !== mulOp || own?.op !== rmsNormOp || !made || !by || by.shape.length !== 1) return false;
  if (readers.get(y) !== 1) return false;
  const weight = mul(made.inputs.at(-1) as Value, by);
  const values = by.graph.apply(made.op, [...made.inputs.slice(0, -1), weight], made.attributes);
  const isSum = made.op === addRmsNormOp;
  if (isSum) places.set(own.inputs[0] as Value, values[0] as Value);
  places.set(node.outputs[0] as Value, values[isSum ? 1 : 0] as Value);
  return true;
}
