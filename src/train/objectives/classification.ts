/** @file Cross-entropy of the class of a whole sequence: the mean of -log p over the sequences of the step. */
import { type ClassObjective, OF_CLASSES } from "../class-objective.ts";

export const classification: ClassObjective = {
  ...OF_CLASSES,
  name: "classification",
  summary: "Predict the class of a text: mean of the negative log-probabilities of the classes",
  rows: "classes",
};
