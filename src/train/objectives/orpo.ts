/**
 * @file Odds ratio preference optimization: learns the chosen answer and raises its odds over the rejected one's, without a reference
 * model.
 *
 *   loss = mean of -log p over the tokens of the chosen answers + β · mean over the pairs of -log σ(o(a) - o(b))
 *   o(a) = log odds = a - log(1 - eᵃ)      a, b: mean log-probabilities per token of chosen and rejected
 *
 * Paper: arXiv:2403.07691, equations 6 and 7; β is its λ. TRL also learns the tokens of the prompt, graft does not.
 */
import { z } from "zod";
import { log1mExp, logSigmoid, sigmoid } from "../losses/log-sigmoid.ts";
import type { Objective } from "../objective.ts";
import { pairMetrics } from "../losses/pair-metrics.ts";
import { type SequenceScore, scorePairs, spread } from "../step/sequence-scores.ts";

const options = z.strictObject({
  beta: z.number().min(0).default(0.1).describe("weight of the preference term"),
});
type OrpoOptions = z.infer<typeof options>;

/** Highest log-probability per token: the odds of a probability that is 1 in float32 would be infinite. */
const HIGHEST = -(2 ** -24);

/** Mean log-probability per token, log odds, and the derivative (slope) of the log odds by the mean. */
function oddsOf({ logProb, numLabels }: SequenceScore): { mean: number; odds: number; slope: number } {
  const mean = logProb / numLabels;
  const bounded = Math.min(mean, HIGHEST);
  return { mean, odds: bounded - log1mExp(bounded), slope: -1 / Math.expm1(bounded) };
}

export const orpo: Objective<OrpoOptions> = {
  name: "orpo",
  summary: "Learn chosen answers and prefer them over rejected ones, without a reference model",
  paper: {
    title: "ORPO: Monolithic Preference Optimization without Reference Model",
    url: "https://arxiv.org/abs/2403.07691",
  },
  options,
  rows: "preference",
  needs: [],
  rateFactor: 0.5,
  isSeparable: false,
  evaluate(scores, { numSequences, numLabels }, { beta }) {
    const numPairs = numSequences.chosen;
    const bySequence = new Float64Array(scores.sequences.length);
    const pairs = scorePairs(scores).map(({ chosen, rejected }) => ({
      chosen: { ...chosen, ...oddsOf(chosen) },
      rejected: { ...rejected, ...oddsOf(rejected) },
    }));
    let [nll, logRatio, logOdds] = [0, 0, 0];
    for (const { chosen, rejected } of pairs) {
      const margin = chosen.odds - rejected.odds;
      nll -= chosen.logProb / numLabels.chosen;
      logOdds += margin / numPairs;
      logRatio += logSigmoid(margin) / numPairs;
      const pull = (-beta * sigmoid(-margin)) / numPairs;
      bySequence[chosen.index] = (pull * chosen.slope) / chosen.numLabels - 1 / numLabels.chosen;
      bySequence[rejected.index] = (-pull * rejected.slope) / rejected.numLabels;
    }
    const metrics = pairMetrics(
      pairs.map(({ chosen, rejected }) => ({
        chosenReward: beta * chosen.mean,
        rejectedReward: beta * rejected.mean,
        chosenLogProb: chosen.mean,
        rejectedLogProb: rejected.mean,
      })),
      numPairs,
    );
    return {
      loss: nll - beta * logRatio,
      gradient: spread(scores, bySequence),
      metrics: { ...metrics, nll_loss: nll, log_odds_ratio: logRatio, log_odds_chosen: logOdds },
    };
  },
};
