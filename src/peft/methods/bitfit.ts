/**
 * @file BitFit: only the base's own biases and norms are trained; nothing is added.
 *
 *   y = x Wᵀ + b   b trained;  norm(x) ∘ g   g trained
 *
 * Paper: "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models",
 * arXiv:2106.10199. Differs from the paper: the factors of norms are trained too, since many models have no bias at all.
 */
import { z } from "zod";
import { ONLY_VECTORS } from "../contract/batch-rule.ts";
import { defineBaseMethod } from "../define-method.ts";

export const bitfit = defineBaseMethod({
  kind: "base",
  name: "bitfit",
  paper: {
    title: "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models",
    arxiv: "2106.10199",
  },
  learningRate: 8e-4,
  options: z.strictObject({}),
  trains: ["norm", "bias"],
  trainedTokens: () => [],
  batch: ONLY_VECTORS,
  // peft has no such type: the file holds whole tensors of the base under their own names.
  result: {
    peftType: "BITFIT",
    readBy: () => "graft",
    claims: () => true,
    toConfig: () => ({}),
    fromConfig: () => ({}),
  },
});
