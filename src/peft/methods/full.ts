/** @file Full fine-tuning: every tensor of the base is trained; no adapter, the result is an ordinary model. */
import { z } from "zod";
import { startAlgebra } from "../algebra/contract.ts";
import { defineMethod } from "../method.ts";

const OPTIONS = z.strictObject({});

export const full = defineMethod<z.output<typeof OPTIONS>, null>({
  name: "full",
  peftType: "none",
  paper: { title: "Fine-tuning of all parameters (no paper)", arxiv: "none" },
  options: OPTIONS,
  defaultTargets: () => [],
  trainsBase: () => true,
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
