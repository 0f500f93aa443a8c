/**
 * @file Euclidean distances of rows:  D_ij = |u_i - v_j|.   u [M, Q]  v [N, Q]  →  [M, N]
 *
 *   dU = rowsum(R) ∘ u - R v     dV = colsum(R) ∘ v - Rᵀ u     R = dD / D
 *
 * One product of widened rows gives D² = |u|² + |v|² - 2 u·v in one pass over [M, N]. Rounding leaves an error near
 * 1e-7 (|u|² + |v|²) in it, so that much and a little more is taken off: rows that coincide have distance 0. The gradient
 * there is 0 too, as D is held above a thousandth of |u| in R.
 */
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Dim, showShape } from "../shape.ts";
import { div } from "./div.ts";
import { matmul } from "./matmul.ts";
import { maximum } from "./maximum.ts";
import { mul } from "./mul.ts";
import { reduceSum } from "./reduce-sum.ts";
import { sqrt } from "./sqrt.ts";
import { sub } from "./sub.ts";
import { transpose } from "./transpose.ts";

/** Share of |u|² + |v|² below which D² is rounding. */
const NOISE = 2 ** -20;

export const pairwiseDistanceOp: Op<Record<string, never>> = {
  name: "pairwiseDistance",
  infer: ([u, v]) => {
    const [a, b] = [(u as Value).shape, (v as Value).shape];
    if (a.length !== 2 || b.length !== 2 || a[1] !== b[1]) {
      throw new RangeError(`Cannot measure distances of rows of ${showShape(a)} and ${showShape(b)}`);
    }
    return [{ dtype: (u as Value).dtype, shape: [a[0] as Dim, b[0] as Dim] }];
  },
  emit: (node, emitter) => {
    const emit = (opType: string, inputs: readonly string[], attributes = {}, domain = ""): string => {
      const output = emitter.temporary();
      emitter.node(opType, inputs, [output], attributes, domain);
      return output;
    };
    const [u, v] = node.inputs.map((value) => emitter.name(value)) as [string, string];
    const squares = (x: string): string => {
      const sum = emit("ReduceSumSquare", [x, emitter.int64([1])], { keepdims: 1 });
      return emit("Mul", [sum, emitter.scalar(1 - NOISE)]);
    };
    const ones = (x: string): string => emit("Expand", [emitter.scalar(1), emit("Shape", [x])]);
    const [uu, vv] = [squares(u), squares(v)];
    const left = emit("Concat", [emit("Mul", [u, emitter.scalar(-2)]), uu, ones(uu)], { axis: 1 });
    const right = emit("Concat", [v, ones(vv), vv], { axis: 1 });
    const squared = emit("FusedMatMul", [left, right], { transB: 1 }, "com.microsoft");
    emitter.node("Sqrt", [emit("Relu", [squared])], [emitter.name(node.outputs[0] as Value)]);
  },
  vjp: (node, [gradient]) => {
    const [u, v] = node.inputs as [Value, Value];
    const { graph } = u;
    const length = sqrt(reduceSum(mul(u, u), [1])); // [M, 1]
    const least = maximum(mul(length, graph.scalar(Math.sqrt(NOISE))), graph.scalar(1e-12));
    const ratio = div(gradient as Value, maximum(node.outputs[0] as Value, least)); // [M, N]
    return [
      sub(mul(reduceSum(ratio, [1]), u), matmul(ratio, v)),
      sub(mul(transpose(reduceSum(ratio, [0]), [1, 0]), v), matmul(ratio, u, { transA: true })),
    ];
  },
};

/** Distances of the rows of u [M, Q] from those of v [N, Q]: [M, N]. */
export function pairwiseDistance(u: Value, v: Value): Value {
  return applyOne(pairwiseDistanceOp, [u, v], {});
}
