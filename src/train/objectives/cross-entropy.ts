/**
 * @file Cross-entropy of the next token: -Σ wᵢ log pᵢ / Σ wᵢ over the learned tokens of the step.
 *
 * w is 1, or the weight that the data gives a message. The sum is divided by the sum of the weights, as in PyTorch's weighted loss:
 * weights say how much a token counts relative to others, and do not scale the update as a whole.
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
