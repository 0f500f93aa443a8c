/**
 * @file Entries times how far they exceed a threshold:  y = x ∘ max(|x| - t, 0).   x [..., n]  t [] ≥ 0  →  [..., n]
 *
 *   dx = dy ∘ (max(|x| - t, 0) + |x| ∘ [|x| > t])     dt = -Σ dy ∘ x ∘ [|x| > t]
 *
 * The same out of abs, maximum and products takes twice the passes backward, among them one over signs.
 */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { showShape } from "../shape.ts";
import { abs } from "./abs.ts";
import { add } from "./add.ts";
import { greater } from "./compare.ts";
import { maximum } from "./maximum.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";
import { reduceSum } from "./reduce-sum.ts";
import { reshape } from "./reshape.ts";
import { sub } from "./sub.ts";

export const softThresholdOp: Op<Record<string, never>> = {
  name: "softThreshold",
  infer: ([x, t]) => {
    const { dtype, shape } = x as Value;
    if (t?.shape.length !== 0 || t.dtype !== dtype) {
      throw new RangeError(
        `Cannot threshold ${dtype} ${showShape(shape)} by ${t?.dtype} ${showShape(t?.shape ?? [])}: expected one number of its type`,
      );
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const [x, t] = node.inputs.map((value) => emitter.name(value)) as [string, string];
    const [size, above, factor] = [emitter.temporary(), emitter.temporary(), emitter.temporary()];
    emitter.node("Abs", [x], [size]);
    emitter.node("Sub", [size, t], [above]);
    emitter.node("Max", [above, emitter.scalar(0)], [factor]);
    emitter.node("Mul", [x, factor], [emitter.name(node.outputs[0] as Value)]);
  },
  vjp: (node, [gradient]) => {
    const [x, t] = node.inputs as [Value, Value];
    const size = abs(x);
    const isAbove = greater(size, t);
    const slope = add(maximum(sub(size, t), x.graph.scalar(0)), mul(size, isAbove));
    const pulled = mul(gradient as Value, mul(x, isAbove));
    const axes = x.shape.map((_, axis) => axis);
    return [mul(gradient as Value, slope), neg(reshape(reduceSum(pulled, axes), []))];
  },
};

/** Multiplies each entry of x [..., n] by how far its size exceeds t [], and by 0 where it does not. */
export function softThreshold(x: Value, t: Value): Value {
  return applyOne(softThresholdOp, [x, t], {});
}
