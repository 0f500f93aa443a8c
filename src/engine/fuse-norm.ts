/** @file A sum and the norm of it, as one operation where a residual stream is normalised for the next branch. */
import type { AnyNode, Value } from "../graph/graph.ts";
import { addRmsNormOp } from "../graph/ops/add-rms-norm.ts";
import { addOp } from "../graph/ops/elementwise.ts";
import { rmsNormOp } from "../graph/ops/rms-norm.ts";
import { sameShape } from "../graph/shape.ts";

/**
 * Applies a norm together with the sum that it reads, if it is one: what comes after reads both from there, and the sum of
 * before is nobody's. `wanted`: values that somebody reads; `places`: which value of the new graph each has become.
 */
export function fuseNorm(node: AnyNode, wanted: ReadonlySet<Value>, places: Map<Value, Value>): boolean {
  const [x, weight] = node.inputs as [Value, Value];
  const [y, deviation] = node.outputs as [Value, Value];
  const sum = places.get(x);
  const factors = places.get(weight);
  if (node.op !== rmsNormOp || wanted.has(deviation) || !factors || sum?.node?.op !== addOp) return false;
  const [a, b] = sum.node.inputs as [Value, Value];
  if (sum.shape.length !== 3 || !sameShape(a.shape, b.shape)) return false;
  const attributes = node.attributes as { readonly epsilon: number };
  const [total, normed] = sum.graph.apply(addRmsNormOp, [a, b, factors], attributes);
  places.set(x, total);
  places.set(y, normed);
  return true;
}
