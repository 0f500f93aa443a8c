/**
 * @file Entries times how far they exceed a threshold:  y = x ∘ max(|x| - t, 0).   x [..., n]  t [] ≥ 0  →  [..., n]
 *
 * Not the usual soft threshold sign(x) max(|x| - t, 0): an entry keeps its own size as a factor, as in SNELL.
 *
 *   dx = dy ∘ (max(|x| - t, 0) + |x| ∘ [|x| > t])     dt = -Σ dy ∘ x ∘ [|x| > t]
 *
 * Composed of abs, maximum and products, the gradient would take twice as many passes, one of them over signs.
 */
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";
import { showShape } from "../../shape.ts";
import { greater } from "./compare.ts";
import { abs, add, mul, neg, sub } from "./elementwise.ts";
import { maximum } from "./maximum.ts";
import { reduceSum } from "../shapes/reduce-expand.ts";
import { reshape } from "../shapes/reshape.ts";

export const scaleByExcessOp: Op<NoAttributes, readonly [x: Value, t: Value]> = {
  name: "scaleByExcess",
  infer: ([{ dtype, shape }, t]) => {
    if (t.shape.length !== 0 || t.dtype !== dtype) {
      throw new RangeError(
        `Cannot threshold ${dtype} ${showShape(shape)} by ${t.dtype} ${showShape(t.shape)}: expected one number of its type`,
      );
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const [x, t] = emitter.names(node.inputs);
    const above = emitter.value("Sub", [emitter.value("Abs", [x]), t]);
    const factor = emitter.value("Max", [above, emitter.scalar(0)]);
    emitter.node("Mul", [x, factor], emitter.names(node.outputs));
  },
  vjp: ({ inputs: [x, t] }, [gradient]) => {
    const size = abs(x);
    const isAbove = greater(size, t);
    const slope = add(maximum(sub(size, t), x.graph.scalar(0)), mul(size, isAbove));
    const pulled = mul(gradient, mul(x, isAbove));
    const axes = x.shape.map((_, axis) => axis);
    return [mul(gradient, slope), neg(reshape(reduceSum(pulled, axes), []))];
  },
};

/** Multiplies each entry of x [..., n] by how far its size exceeds t [], and by 0 where it does not. */
export function scaleByExcess(x: Value, t: Value): Value {
  return applyOne(scaleByExcessOp, [x, t], {});
}
