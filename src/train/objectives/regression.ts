/** @file Squared error of the numbers (one or several) predicted for a whole sequence: its mean over them and over the step. */
import { z } from "zod";
import { meanLogLoss } from "../losses/mean-log-loss.ts";
import type { Objective } from "../objective.ts";

export const regression: Objective = {
  name: "regression",
  summary: "Predict a number for a text, such as a score: mean of the squared errors",
  paper: null,
  options: z.strictObject({}),
  rows: "numbers",
  needs: [],
  rateFactor: 1,
  isSeparable: true,
  evaluate: meanLogLoss,
};
