/**
 * @file DoRA: the direction of each output's weights gets LoRA's update, their length is trained apart.
 *
 *   y = (m / n) ∘ (x Wᵀ + s (x Aᵀ) Bᵀ) + b     m [out]     n_i = ‖row i of W + s B A‖, a constant in the backward pass
 *
 * Paper: "DoRA: Weight-Decomposed Low-Rank Adaptation", arXiv:2402.09353, eq. 5; n as a constant: section 4.3. m starts as
 * the lengths of W's rows, so the output starts as the base's. Inputs that are dropped in training, d for x, are dropped
 * in all that is added to the base, as in PEFT:  y = x Wᵀ + b + (m/n - 1) ∘ d Wᵀ + (m/n) ∘ s (d Aᵀ) Bᵀ.
 */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/add.ts";
import { div } from "../../graph/ops/div.ts";
import { matmul } from "../../graph/ops/matmul.ts";
import { maximum } from "../../graph/ops/maximum.ts";
import { mul } from "../../graph/ops/mul.ts";
import { reduceSum } from "../../graph/ops/reduce-sum.ts";
import { reshape } from "../../graph/ops/reshape.ts";
import { sqrt } from "../../graph/ops/sqrt.ts";
import { stopGradient } from "../../graph/ops/stop-gradient.ts";
import { sub } from "../../graph/ops/sub.ts";
import { lowRankFromPeft, lowRankToPeft } from "./low-rank-config.ts";
import {
  LOW_RANK_FIELDS,
  type LowRankOptions,
  type LowRankSite,
  configureLowRank,
  lowRankFactors,
  lowRankFromFile,
  lowRankFrozen,
  lowRankParameters,
  lowRankToFile,
  startLowRank,
} from "./low-rank.ts";
import { defineMethod } from "../method.ts";

const M = "lora_magnitude_vector";

export const dora = defineMethod<LowRankOptions, LowRankSite>({
  name: "dora",
  peftType: "LORA",
  claims: (config) => config["use_dora"] === true,
  paper: { title: "DoRA: Weight-Decomposed Low-Rank Adaptation", arxiv: "2402.09353" },
  options: z.strictObject(LOW_RANK_FIELDS),
  defaultTargets: () => "all-linear",
  trainsBase: () => false,
  modulesToSave: (options) => options.modulesToSave,

  configure: configureLowRank,
  parameters: (site, options) => [
    ...lowRankParameters(site, options),
    { suffix: M, shape: [site.outFeatures] },
  ],
  frozen: lowRankFrozen,

  start: async (site, options) => {
    const { inFeatures, outFeatures } = site.spec;
    const weight = await site.weight();
    const m = site.trained[M]!.data;
    for (let row = 0; row < outFeatures; row++) {
      let sum = 0;
      for (let i = row * inFeatures; i < (row + 1) * inFeatures; i++) sum += weight[i]! ** 2;
      m[row] = Math.sqrt(sum);
    }
    return await startLowRank(site, options);
  },

  formsWeight: true,

  adapt: (site, x, parameters, { scale, dropout }) => {
    const { spec, weight, bias } = site;
    const { down, up } = lowRankFactors(parameters, spec);
    const length = stopGradient(rowLengths(add(weight, matmul(up, down, { alpha: scale }))));
    const gain = div(parameters[M]!, length); // [out]
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

  adaptRows: "not-batchable",

  merge: ({ weight, bias }, parameters, site, { scale }) => {
    const { down, up } = lowRankFactors(parameters, site);
    const direction = add(weight, matmul(up, down, { alpha: scale }));
    const gain = div(parameters[M]!, rowLengths(direction));
    return { weight: mul(reshape(gain, [site.outFeatures, 1]), direction), bias };
  },

  algebra: "not-composable",

  toFile: lowRankToFile,
  fromFile: lowRankFromFile,
  toPeft: (options, _targets, _sites, paths) => ({ ...lowRankToPeft(options, paths), use_dora: true }),
  fromPeft: (raw) => {
    delete raw["use_dora"];
    return lowRankFromPeft(raw);
  },
});

/** Length of a row of zeros, by which it can be divided: such an output, of a pruned model, stays zero. */
const NO_LENGTH = 1e-30;

/** Lengths of the rows of a matrix [out, in], [out]. */
function rowLengths(matrix: Value): Value {
  const lengths = reshape(sqrt(reduceSum(mul(matrix, matrix), [1])), [matrix.shape[0]!]);
  return maximum(lengths, matrix.graph.scalar(NO_LENGTH));
}
