/**
 * @file Layer norm over the last axis:  y = w ∘ n + b,  n = (x - μ) r,  r = 1 / √(mean (x - μ)² + ε).   x [..., D]
 *
 *   dx = r (g - mean g - n mean(g ∘ n)),  g = dy ∘ w        dw = Σ dy ∘ n        db = Σ dy
 *
 * Paper: "Layer Normalization", arXiv:1607.06450, eq. 4. μ and r are outputs too, so that a backward program can take
 * them instead of computing them again.
 */
import type { Op, Value } from "../../graph.ts";
import { type Dim, sameShape, showShape } from "../../shape.ts";
import { mul, sub } from "../pointwise/elementwise.ts";
import { sumTo } from "../shapes/reduce-expand.ts";
import { reduceMean } from "../reductions/reduce-mean.ts";

type NormAttributes = Readonly<{ epsilon: number }>;

export const layerNormOp: Op<
  NormAttributes,
  readonly [x: Value, weight: Value, bias: Value],
  readonly [y: Value, mean: Value, r: Value]
> = {
  name: "layerNorm",
  infer: ([{ dtype, shape }, weight, bias]) => {
    for (const [what, value] of Object.entries({ weight, bias })) {
      if (!sameShape(value.shape, shape.slice(-1))) {
        throw new RangeError(
          `Cannot normalise ${showShape(shape)} with ${what} ${showShape(value.shape)}: sizes differ`,
        );
      }
    }
    const moment = { dtype, shape: shape.map((dim, i): Dim => (i === shape.length - 1 ? 1 : dim)) };
    return [{ dtype, shape }, moment, moment];
  },
  emit: (node, emitter) =>
    emitter.simple(node, "LayerNormalization", { axis: -1, epsilon: { float: node.attributes.epsilon } }),
  vjp: ({ inputs: [x, weight, bias], outputs: [, mean, r] }, [dy, dMean, dr]) => {
    if (dMean || dr || !dy)
      throw new TypeError("Cannot differentiate layerNorm: a gradient flows into its mean or deviation");
    const last = [x.shape.length - 1];
    const normed = mul(sub(x, mean), r);
    const weighted = mul(dy, weight);
    const along = mul(normed, reduceMean(mul(weighted, normed), last));
    const dx = mul(sub(sub(weighted, reduceMean(weighted, last)), along), r);
    return [dx, sumTo(mul(dy, normed), weight.shape), sumTo(dy, bias.shape)];
  },
};

/** Normalises the last axis: x [..., D], weight [D] and bias [D] give y [..., D]. */
export function layerNorm(x: Value, weight: Value, bias: Value, epsilon: number): Value {
  return x.graph.apply(layerNormOp, [x, weight, bias], { epsilon })[0];
}
