/**
 * @file Cross-entropy of the next token: -Σ wᵢ log pᵢ / Σ wᵢ over the tokens of the step that are learned.
 *
 * w is 1, or what the data says of a message. Dividing by the sum of the weights makes it a weighted mean, as a weighted
 * loss is in PyTorch: weights say how much more one token counts than another, not how long the step is.
 */
import { z } from "zod";
import { meanLogLoss } from "../losses/mean-log-loss.ts";
import type { Objective } from "../objective.ts";

export const crossEntropy: Objective = {
  name: "cross-entropy",
  summary: "Predict the trained tokens: mean of their negative log-probabilities",
  paper: null,
  options: z.strictObject({}),
  rows: "text",
  needs: [],
  rateFactor: 1,
  isSeparable: true,
  hasPerplexity: true,
  evaluate: meanLogLoss,
};
