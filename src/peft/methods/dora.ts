/**
 * @file DoRA: the direction of each output's weights gets LoRA's update, and their length is trained separately.
 *
 *   y = (m / n) ∘ (x Wᵀ + s (x Aᵀ) Bᵀ) + b     m [out]     n_i = ‖row i of W + s B A‖, a constant in the backward pass
 *
 * Paper: "DoRA: Weight-Decomposed Low-Rank Adaptation", arXiv:2402.09353, eq. 5; n as a constant: section 4.3. m starts as the
 * lengths of W's rows, so the output starts as the base's. With dropout, the dropped inputs d replace x in everything that is
 * added to the base, as in PEFT:  y = x Wᵀ + b + (m/n - 1) ∘ d Wᵀ + (m/n) ∘ s (d Aᵀ) Bᵀ.
 */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { add, div, mul, sqrt, sub } from "../../graph/ops/pointwise/elementwise.ts";
import { greater } from "../../graph/ops/pointwise/compare.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import { maximum } from "../../graph/ops/pointwise/maximum.ts";
import { reduceSum } from "../../graph/ops/shapes/reduce-expand.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { stopGradient } from "../../graph/ops/shapes/stop-gradient.ts";
import { lowRankFile } from "../low-rank/config.ts";
import { BIAS_BACK, GAIN, lowRankRows } from "../low-rank/rows.ts";
import {
  LOW_RANK_FIELDS,
  LOW_RANK_TARGETS,
  type LowRankOptions,
  type LowRankSite,
  configureLowRank,
  initLowRank,
  lowRankFactors,
  lowRankFrozen,
  lowRankParameters,
} from "../low-rank/low-rank.ts";
import { defineMethod } from "../define-method.ts";
import { NOTHING_FROZEN } from "../method.ts";
import { TRAINED_TOKENS } from "../trained-base/trained-tokens.ts";

const M = "lora_magnitude_vector";

export const dora = defineMethod<LowRankOptions, LowRankSite>({
  kind: "adapter",
  name: "dora",
  paper: { title: "DoRA: Weight-Decomposed Low-Rank Adaptation", arxiv: "2402.09353" },
  learningRate: 4e-4,
  options: z.strictObject({ ...LOW_RANK_FIELDS, ...TRAINED_TOKENS }),
  targets: LOW_RANK_TARGETS,
  configure: configureLowRank,

  trained: {
    specs: (site, options) => [...lowRankParameters(site, options), { suffix: M, shape: [site.outFeatures] }],
    init: async (site, options, random) => {
      const { inFeatures, outFeatures } = site.spec;
      const weight = await site.weight();
      const m = site.tensors[M]!.data;
      for (let row = 0; row < outFeatures; row++) {
        let sum = 0;
        for (let i = row * inFeatures; i < (row + 1) * inFeatures; i++) sum += weight[i]! ** 2;
        m[row] = Math.sqrt(sum);
      }
      await initLowRank(site, options, random);
    },
    initialChange: "none",
  },
  frozen: { ...NOTHING_FROZEN, specs: lowRankFrozen },

  adapt: (site, x, values, { scale, dropout }) => {
    const { spec, weight, bias } = site;
    const { down, up } = lowRankFactors(values, spec);
    const length = stopGradient(rowLengths(add(weight, matmul(up, down, { alpha: scale }))));
    const gain = div(values[M]!, length); // [out]
    const dropped = site.dropout(x, dropout);
    const update = matmul(matmul(dropped, down, { transB: true }), up, { transB: true, alpha: scale });
    const product = (value: Value): Value => (bias ? sub(site.project(value), bias) : site.project(value));
    if (dropped === x) {
      const y = mul(gain, add(product(x), update));
      return bias ? add(y, bias) : y;
    }
    const moved = mul(sub(gain, site.weight.graph.scalar(1)), product(dropped));
    return add(site.project(x), add(moved, mul(gain, update)));
  },

  materializesWeight: () => true,

  lookup: "not-on-embeddings",
  batch: {
    ...lowRankRows,
    ofBase: ({ weight, bias }, values, site, { scale }) => {
      const { down, up } = lowRankFactors(values, site);
      const lengths = rowLengths(add(weight, matmul(up, down, { alpha: scale })));
      const gain = div(values[M]!, lengths);
      // Where a row has zero length the product is zero, and the bias has to be restored.
      const known = mul(gain, greater(lengths, weight.graph.scalar(NO_LENGTH)));
      return { [GAIN]: known, ...(bias && { [BIAS_BACK]: mul(bias, sub(weight.graph.scalar(1), known)) }) };
    },
  },

  merge: {
    graph: ({ weight, bias }, values, site, { scale }) => {
      const { down, up } = lowRankFactors(values, site);
      const direction = add(weight, matmul(up, down, { alpha: scale }));
      const gain = div(values[M]!, rowLengths(direction));
      return { weight: mul(reshape(gain, [site.outFeatures, 1]), direction), bias };
    },
    stored: "requantized",
  },

  algebra: "not-composable",
  file: lowRankFile({ use_dora: true }),
});

/** Substitute for the length of a zero row, to avoid dividing by zero: such an output, of a pruned model, stays zero. */
const NO_LENGTH = 1e-30;

/** Lengths of the rows of a matrix [out, in], [out]. */
function rowLengths(matrix: Value): Value {
  const lengths = reshape(sqrt(reduceSum(mul(matrix, matrix), [1])), [matrix.shape[0]!]);
  return maximum(lengths, matrix.graph.scalar(NO_LENGTH));
}
