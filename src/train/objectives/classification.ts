/** @file Cross-entropy of the class of a whole sequence: the mean of -log p over the sequences of the step. */
import type { z } from "zod";
import { CLASS_OPTIONS } from "../class-options.ts";
import { meanLogLoss } from "../losses/mean-log-loss.ts";
import type { Objective } from "../objective.ts";

export const classification: Objective<z.output<typeof CLASS_OPTIONS>> = {
  name: "classification",
  summary: "Learn to name the class of a text: mean of the negative log-probabilities of the classes",
  paper: null,
  options: CLASS_OPTIONS,
  classes: ({ classes, numClasses }) => ({ names: classes, count: numClasses }),
  rows: "classes",
  needs: [],
  rateFactor: 1,
  isSeparable: true,
  evaluate: meanLogLoss,
};
