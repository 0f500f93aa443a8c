/**
 * @file BitFit: the base's own biases and norms are trained, nothing is added and nothing else moves.
 *
 *   y = x Wᵀ + b   b trained;  norm(x) ∘ g   g trained
 *
 * Paper: "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models",
 * arXiv:2106.10199. Differs from the paper: the factors of norms are trained too, since many models have no bias at all.
 */
import { z } from "zod";
import { startAlgebra } from "../algebra/contract.ts";
import { defineMethod } from "../method.ts";

const OPTIONS = z.strictObject({});

export const bitfit = defineMethod<z.output<typeof OPTIONS>, null>({
  name: "bitfit",
  // peft has no such type: the file holds whole tensors of the base under their own names.
  peftType: "BITFIT",
  paper: {
    title: "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models",
    arxiv: "2106.10199",
  },
  options: OPTIONS,
  defaultTargets: () => [],
  trainsBase: ({ role }) => role === "bias" || role === "norm",
  configure: () => null,
  parameters: () => [],
  start: () => {},
  formsWeight: false,
  adapt: (site, x) => site.project(x),
  adaptRows: "not-batchable",
  merge: (base) => base,
  algebra: startAlgebra(),
  toPeft: () => ({}),
  fromPeft: () => ({}),
});
