/** @file Cross-entropy of each class of a whole sequence by itself, yes or no: its mean over the classes and over the step. */
import type { z } from "zod";
import { CLASS_OPTIONS } from "../class-options.ts";
import { meanLogLoss } from "../losses/mean-log-loss.ts";
import type { Objective } from "../objective.ts";

export const multiLabelClassification: Objective<z.output<typeof CLASS_OPTIONS>> = {
  name: "multi-label-classification",
  summary: "Learn to name the classes of a text, none, one or several: mean of the log losses of the classes",
  paper: null,
  options: CLASS_OPTIONS,
  classes: ({ classes, numClasses }) => ({ names: classes, count: numClasses }),
  rows: "labels",
  needs: [],
  rateFactor: 1,
  isSeparable: true,
  evaluate: meanLogLoss,
};
