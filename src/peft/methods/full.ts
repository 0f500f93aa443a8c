/** @file Full fine-tuning: every tensor of the base is trained; no adapter, the result is an ordinary model. */
import { z } from "zod";
import { defineBaseMethod } from "../define-method.ts";

export const full = defineBaseMethod({
  kind: "base",
  name: "full",
  paper: { title: "Fine-tuning of all parameters (no paper)", arxiv: "none" },
  learningRate: 2e-5,
  options: z.strictObject({}),
  trains: "all",
  trainedTokens: () => [],
  batch: "not-batchable",
  result: "model",
});
