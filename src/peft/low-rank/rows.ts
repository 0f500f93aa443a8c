/**
 * @file Methods with two thin matrices, with an adapter for each row, of any rank and scale.
 *
 *   y[b] = (1 + g[b]) ∘ (x[b] Wᵀ + bias) + (x[b] A[b]ᵀ) B[b]ᵀ + c[b]     g, c: only if some adapter has them
 *
 * Zeros change nothing, so smaller adapters are padded with them. A method with a factor on the sum, g, also includes it in B,
 * and in c what preserves the base's bias.
 */
import { add, mul } from "../../graph/ops/pointwise/elementwise.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { dimAt } from "../../graph/shape.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { type RowForm, type StackedBatch, perToken } from "../contract/batch-rule.ts";
import { lowRankToTensors } from "./file.ts";
import { type LowRankSite, OWN_BIAS, lowRankFactors, namesOf } from "./low-rank.ts";

/**
 * Names of values that a method may compute from the base: a factor on each output [out], and what preserves the base's bias
 * under that factor [out].
 */
export const GAIN = "gain";
export const BIAS_BACK = "bias back";

/** The form without factors. All forms have these options, whatever those of their adapters, so that they share a stack. */
const NO_FACTORS: RowForm<LowRankSite> = {
  tensors: {},
  options: { rank: 0, scale: 1, dropout: 0, init: "default", ownBias: false },
};

export const lowRankRows: StackedBatch<LowRankSite> = {
  ofBase: null,
  added: null,

  // Rows have B transposed: a product with long rows is faster than one with thin columns.
  form: ({ [GAIN]: gain, [BIAS_BACK]: back, ...own }, site, { scale }) => {
    const [a, b] = namesOf(site);
    const { [a]: down, [b]: up, [OWN_BIAS]: ownBias } = lowRankToTensors(own);
    const factor = (out: number): number => scale * (gain?.data[out] ?? 1);
    const added = (ownBias ?? back)?.data.map(
      (_, out) => factor(out) * (ownBias?.data[out] ?? 0) + (back?.data[out] ?? 0),
    );
    return {
      ...NO_FACTORS,
      tensors: {
        [a]: down!,
        [b]: up!,
        ...(gain && { [GAIN]: perToken(gain.data.map((value) => value - 1)) }),
        ...(added && { [OWN_BIAS]: hostTensor("float32", [site.outFeatures], added) }),
      },
      turned: { [b]: factor },
    };
  },

  identity: () => NO_FACTORS,

  adapt: (site, x, values) => {
    const { down, up } = lowRankFactors(values, site.spec);
    const { [GAIN]: gain, [OWN_BIAS]: bias } = values; // [B, 1, out], [B, out]
    const base = site.project(x);
    const scaled = gain ? mul(base, add(gain, x.graph.scalar(1))) : base;
    const y = add(scaled, matmul(matmul(x, down, { transB: true }), up));
    return bias ? add(y, reshape(bias, [dimAt(bias.shape, 0), 1, site.spec.outFeatures])) : y;
  },
};
