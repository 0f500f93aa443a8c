/**
 * @file LoRA: a frozen projection plus a product of two thin matrices.
 *
 *   y = x Wᵀ + b + s (drop(x) Aᵀ) Bᵀ     A [R, in]  B [out, R]     s = α/R, or α/√R (rsLoRA)
 *   with a bias of B, c [out]:  + s c
 *   an embedding E [V, D]:  x = E[ids] + s (Aᵀ)[ids] Bᵀ     A [R, V]  B [D, R]
 *
 * Paper: "LoRA", arXiv:2106.09685, eq. 3. One of the two matrices starts at zero, or the start is subtracted, so the output
 * starts as the base's: `low-rank/start.ts`.
 */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { add, mul } from "../../graph/ops/pointwise/elementwise.ts";
import { gatherRows } from "../../graph/ops/rows/gather-scatter.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import { LOW_RANK_ALGEBRA } from "../low-rank/algebra.ts";
import { lowRankFile } from "../low-rank/config.ts";
import {
  LOW_RANK_FIELDS,
  LOW_RANK_TARGETS,
  type LowRankOptions,
  type LowRankSite,
  OWN_BIAS,
  configureLowRank,
  initLowRank,
  lowRankFactors,
  lowRankFrozen,
  lowRankParameters,
} from "../low-rank/low-rank.ts";
import { lowRankRows } from "../low-rank/rows.ts";
import { LOW_RANK_STACKS, TARGET_PARAMETERS, refuseOnParameter } from "../low-rank/stacks.ts";
import { defineMethod } from "../define-method.ts";
import { NOTHING_FROZEN } from "../method.ts";
import type { SiteValues } from "../sites/site.ts";
import { TRAINED_TOKENS } from "../trained-base/trained-tokens.ts";

const OPTIONS = z
  .strictObject({
    ...LOW_RANK_FIELDS,
    ...TARGET_PARAMETERS,
    ...TRAINED_TOKENS,
    loraBias: z.boolean().default(false).describe("give the second matrix its own bias"),
  })
  .refine(({ loraBias, init }) => !loraBias || init === "default", {
    path: ["loraBias"],
    message: "expected it only with init default, as in peft",
  });

/** Adds the bias of B, [out], times s. */
function addOwnBias(y: Value, values: SiteValues, scale: number): Value {
  const bias = values[OWN_BIAS];
  if (!bias) return y;
  return add(y, scale === 1 ? bias : mul(bias, y.graph.scalar(scale)));
}

export const lora = defineMethod<LowRankOptions, LowRankSite>({
  kind: "adapter",
  name: "lora",
  paper: { title: "LoRA: Low-Rank Adaptation of Large Language Models", arxiv: "2106.09685" },
  learningRate: 4e-4,
  options: OPTIONS,
  targets: { ...LOW_RANK_TARGETS, parameters: LOW_RANK_STACKS },
  configure: (options) => {
    const configure = configureLowRank(options);
    return (place) => {
      const own = configure(place);
      refuseOnParameter(place, own);
      return own;
    };
  },
  trained: { specs: lowRankParameters, init: initLowRank, initialChange: "none" },
  frozen: { ...NOTHING_FROZEN, specs: lowRankFrozen },

  adapt: (site, x, values, { scale, dropout }) => {
    const { down, up } = lowRankFactors(values, site.spec);
    const low = site.save("low", matmul(site.dropout(x, dropout), down, { transB: true })); // [..., R]
    const y = add(site.project(x), matmul(low, up, { transB: true, alpha: scale }));
    return addOwnBias(y, values, scale);
  },
  materializesWeight: () => false,

  lookup: ({ spec, ids, rows }, values, { scale }) => {
    const { down, up } = lowRankFactors(values, spec);
    const low = gatherRows(transpose(down, [1, 0]), ids); // [B, T, R]
    return add(rows, matmul(low, up, { transB: true, alpha: scale }));
  },

  batch: lowRankRows,

  merge: {
    graph: ({ weight, bias }, values, site, { scale }) => {
      const { down, up } = lowRankFactors(values, site);
      const change =
        site.kind === "embedding"
          ? matmul(down, up, { transA: true, transB: true, alpha: scale })
          : matmul(up, down, { alpha: scale });
      // A module without a bias gets one, which a merged model may not be able to hold.
      const own = values[OWN_BIAS] && mul(values[OWN_BIAS], weight.graph.scalar(scale));
      return { weight: add(weight, change), bias: bias && own ? add(bias, own) : (own ?? bias) };
    },
    stored: "requantized",
  },

  algebra: LOW_RANK_ALGEBRA,
  file: lowRankFile({ use_dora: false }),
});
