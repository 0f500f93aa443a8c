/** @file Cross-entropy of the class of a whole sequence: the mean of -log p over the sequences of the step. */
import { z } from "zod";
import { meanLogLoss } from "../mean-log-loss.ts";
import type { Objective } from "../objective.ts";

export const classification: Objective = {
  name: "classification",
  summary: "Learn to name the class of a text: mean of the negative log-probabilities of the classes",
  paper: null,
  options: z.strictObject({}),
  rows: "classes",
  needs: [],
  rateFactor: 1,
  isSeparable: true,
  evaluate: meanLogLoss,
};
