/** @file Cross-entropy of each class of a whole sequence by itself, yes or no: its mean over the classes and over the step. */
import { classification } from "./classification.ts";

export const multiLabelClassification: typeof classification = {
  ...classification,
  name: "multi-label-classification",
  summary: "Learn to name the classes of a text, none, one or several: mean of the log losses of the classes",
  rows: "labels",
};
