/** @file Binary cross-entropy of each class of a whole sequence: its mean over the classes and over the step. */
import { type ClassObjective, OF_CLASSES } from "../class-objective.ts";

export const multiLabelClassification: ClassObjective = {
  ...OF_CLASSES,
  name: "multi-label-classification",
  summary: "Predict the classes of a text (none, one or several): mean of the log losses of the classes",
  rows: "labels",
};
