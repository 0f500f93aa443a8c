/**
 * @file Root-mean-square norm over the last axis:  y = w ∘ x r,  r = 1 / √(mean x² + ε).   x [..., D]  w [D]  r [..., 1]
 *
 *   dx = r (dy ∘ w) - x r³ mean(dy ∘ w ∘ x)        dw = Σ dy ∘ x r
 *
 * Paper: "Root Mean Square Layer Normalization", arXiv:1910.07467, eq. 4. r is a second output, so that a backward
 * program can take it instead of computing it again.
 */
import type { Op, Value } from "../../graph.ts";
import { type Dim, sameShape, showShape } from "../../shape.ts";
import { mul, sub } from "../pointwise/elementwise.ts";
import { sumTo } from "../shapes/reduce-expand.ts";
import { reduceMean } from "../reductions/reduce-mean.ts";

type NormAttributes = Readonly<{ epsilon: number }>;

export const rmsNormOp: Op<
  NormAttributes,
  readonly [x: Value, weight: Value],
  readonly [y: Value, r: Value]
> = {
  name: "rmsNorm",
  infer: ([{ dtype, shape }, weight]) => {
    if (!sameShape(weight.shape, shape.slice(-1))) {
      throw new RangeError(
        `Cannot normalise ${showShape(shape)} with weight ${showShape(weight.shape)}: sizes differ`,
      );
    }
    return [
      { dtype, shape },
      { dtype, shape: shape.map((dim, i): Dim => (i === shape.length - 1 ? 1 : dim)) },
    ];
  },
  emit: (node, emitter) =>
    emitter.simple(node, "SimplifiedLayerNormalization", {
      axis: -1,
      epsilon: { float: node.attributes.epsilon },
      stash_type: 1,
    }),
  vjp: ({ inputs: [x, weight], outputs: [, r] }, [dy, dr]) => {
    if (dr || !dy)
      throw new TypeError("Cannot differentiate rmsNorm: a gradient flows into its second output");
    const last = x.shape.length - 1;
    const weighted = mul(dy, weight);
    const mean = reduceMean(mul(weighted, x), [last]);
    const dx = sub(mul(weighted, r), mul(x, mul(mul(r, mul(r, r)), mean)));
    return [dx, sumTo(mul(dy, mul(x, r)), weight.shape)];
  },
};

/** Normalises the last axis: x [..., D], weight [D] give [y [..., D], r [..., 1]]. */
export function rmsNorm(x: Value, weight: Value, epsilon: number): readonly [Value, Value] {
  return x.graph.apply(rmsNormOp, [x, weight], { epsilon });
}
