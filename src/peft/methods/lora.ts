/**
 * @file LoRA: a frozen projection plus a product of two thin matrices.
 *
 *   y = x Wᵀ + b + s (drop(x) Aᵀ) Bᵀ     A [R, in]  B [out, R]     s = α/R, or α/√R (rsLoRA)
 *   an embedding E [V, D]:  x = E[ids] + s (Aᵀ)[ids] Bᵀ     A [R, V]  B [D, R]
 *
 * Paper: "LoRA", arXiv:2106.09685, eq. 3. One of the two starts at zero, or the start is subtracted, so the output
 * starts as the base's: `low-rank-start.ts`.
 */
import { z } from "zod";
import { add } from "../../graph/ops/add.ts";
import { gatherRows } from "../../graph/ops/gather-rows.ts";
import { matmul } from "../../graph/ops/matmul.ts";
import { transpose } from "../../graph/ops/transpose.ts";
import { LOW_RANK_ALGEBRA } from "./low-rank-algebra.ts";
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
  lowRankRowForm,
  lowRankToFile,
  startLowRank,
} from "./low-rank.ts";
import { defineMethod } from "../method.ts";

export const lora = defineMethod<LowRankOptions, LowRankSite>({
  name: "lora",
  peftType: "LORA",
  claims: (config) => config["use_dora"] !== true,
  paper: { title: "LoRA: Low-Rank Adaptation of Large Language Models", arxiv: "2106.09685" },
  options: z.strictObject(LOW_RANK_FIELDS),
  defaultTargets: () => "all-linear",
  trainsBase: () => false,
  modulesToSave: (options) => options.modulesToSave,

  configure: configureLowRank,
  parameters: lowRankParameters,
  frozen: lowRankFrozen,
  start: startLowRank,

  formsWeight: false,

  adapt: (site, x, parameters, { scale, dropout }) => {
    const { down, up } = lowRankFactors(parameters, site.spec);
    const low = matmul(site.dropout(x, dropout), down, { transB: true }); // [..., R]
    return add(site.project(x), matmul(low, up, { transB: true, alpha: scale }));
  },

  adaptLookup: ({ spec, ids, rows }, parameters, { scale }) => {
    const { down, up } = lowRankFactors(parameters, spec);
    const low = gatherRows(transpose(down, [1, 0]), ids); // [B, T, R]
    return add(rows, matmul(low, up, { transB: true, alpha: scale }));
  },

  rowForm: lowRankRowForm,

  adaptRows: (site, x, parameters) => {
    const { down, up } = lowRankFactors(parameters, site.spec);
    return add(site.project(x), matmul(matmul(x, down, { transB: true }), up, { transB: true }));
  },

  merge: ({ weight, bias }, parameters, site, { scale }) => {
    const { down, up } = lowRankFactors(parameters, site);
    const change =
      site.kind === "embedding"
        ? matmul(down, up, { transA: true, transB: true, alpha: scale })
        : matmul(up, down, { alpha: scale });
    return { weight: add(weight, change), bias };
  },

  algebra: LOW_RANK_ALGEBRA,

  toFile: lowRankToFile,
  fromFile: lowRankFromFile,
  toPeft: (options, _targets, _sites, paths) => ({ ...lowRankToPeft(options, paths), use_dora: false }),
  fromPeft: lowRankFromPeft,
});
