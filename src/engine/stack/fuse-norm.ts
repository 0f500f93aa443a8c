/**
 * @file Fuses a sum and the norm of it, where a residual stream is normalised for the next branch; folds factors on a norm into
 * its weight.
 */
import { type AnyNode, type Value, isNodeOf } from "../../graph/graph.ts";
import { addRmsNormOp } from "../../graph/ops/norms/add-rms-norm.ts";
import { addOp, mul, mulOp } from "../../graph/ops/pointwise/elementwise.ts";
import { rmsNormOp } from "../../graph/ops/norms/rms-norm.ts";
import { sameShape } from "../../graph/shape.ts";

/**
 * Fuses a norm with the sum that it reads, if it reads one: later nodes read both results from the fused node, and the old sum is
 * unused. `readers`: how often each value is read; `places`: the value of the new graph for each old one.
 */
export function fuseNorm(
  node: AnyNode,
  readers: ReadonlyMap<Value, number>,
  places: Map<Value, Value>,
): boolean {
  if (!isNodeOf(node, rmsNormOp)) return false;
  const { inputs, outputs, attributes } = node;
  const [[x, weight], [y, deviation]] = [inputs, outputs];
  const factors = places.get(weight);
  const sum = places.get(x)?.node;
  if (readers.has(deviation) || !factors || !isNodeOf(sum, addOp)) return false;
  const [a, b] = sum.inputs;
  if (sum.outputs[0].shape.length !== 3 || !sameShape(a.shape, b.shape)) return false;
  const [total, normed] = factors.graph.apply(addRmsNormOp, [a, b, factors], attributes);
  places.set(x, total);
  places.set(y, normed);
  return true;
}

/** Multiplies the weight of a norm instead of its result, if a node multiplies the result by factors [D] and is its only reader. */
export function foldFactors(
  node: AnyNode,
  readers: ReadonlyMap<Value, number>,
  places: Map<Value, Value>,
): boolean {
  if (!isNodeOf(node, mulOp)) return false;
  const [y, factors] = node.inputs;
  const own = y.node;
  const made = places.get(y)?.node;
  const by = places.get(factors);
  if (!isNodeOf(own, rmsNormOp) || !made || !by || by.shape.length !== 1 || readers.get(y) !== 1)
    return false;
  if (isNodeOf(made, addRmsNormOp)) {
    const [a, b, weight] = made.inputs;
    const [total, normed] = by.graph.apply(addRmsNormOp, [a, b, mul(weight, by)], made.attributes);
    places.set(own.inputs[0], total);
    places.set(node.outputs[0], normed);
    return true;
  }
  if (!isNodeOf(made, rmsNormOp)) return false;
  const [x, weight] = made.inputs;
  const [normed] = by.graph.apply(rmsNormOp, [x, mul(weight, by)], made.attributes);
  places.set(node.outputs[0], normed);
  return true;
}
