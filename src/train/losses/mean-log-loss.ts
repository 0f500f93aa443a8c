/** @file The weighted mean of negative log-probabilities: -Σ wᵢ log pᵢ / Σ wᵢ, over all positions of the step. */
import type { Outcome, Scores, StepTotals } from "../objective.ts";

/** A micro-batch's share of the mean; its gradient does not depend on the log-probabilities. */
export function meanLogLoss({ logProbs, weights }: Scores, { weight }: StepTotals): Outcome {
  let sum = 0;
  for (const [i, logProb] of logProbs.entries()) sum += weights[i]! * logProb;
  return { loss: -sum / weight, gradient: weights.map((value) => -value / weight), metrics: {} };
}
