/**
 * @file Kahneman-Tversky optimization: each answer is labelled good or bad by itself, without pairs.
 *
 *   r = log π(y|x)/π₀(y|x)      z = max(0, mean of log π(y'|x)/π₀(y'|x)), y' the answer to another prompt
 *   good  w₊ (1 - σ(β(r - z)))      bad  w₋ (1 - σ(β(z - r)))      loss: the mean over all answers of the step
 *
 * Paper: arXiv:2402.01306, equations 7 and 8. z has no gradient. It is estimated over the whole step before the first
 * micro-batch, by giving each prompt the answer of the example before it; an evaluation does the same over all its examples, and
 * TRL for each batch.
 */
import { z } from "zod";
import { sigmoid } from "../losses/log-sigmoid.ts";
import type { Objective } from "../objective.ts";
import { scoreSequences, spread } from "../step/sequence-scores.ts";

const options = z.strictObject({
  beta: z
    .number()
    .positive()
    .default(0.1)
    .describe("strength of the penalty for straying from the reference model"),
  desirableWeight: z.number().min(0).default(1).describe("weight of good answers"),
  undesirableWeight: z.number().min(0).default(1).describe("weight of bad answers"),
});
type KtoOptions = z.infer<typeof options>;

export const kto: Objective<KtoOptions> = {
  name: "kto",
  summary: "Learn from answers that are each labelled good or bad, without straying far from the base model",
  paper: {
    title: "KTO: Model Alignment as Prospect Theoretic Optimization",
    url: "https://arxiv.org/abs/2402.01306",
  },
  options,
  rows: "unpaired",
  needs: ["reference", "mismatched"],
  rateFactor: 0.1,
  isSeparable: false,
  evaluate(scores, { numSequences, divergence }, { beta, desirableWeight, undesirableWeight }) {
    const numGood = numSequences.desirable;
    const numBad = numSequences.undesirable;
    const bySequence = new Float64Array(scores.sequences.length);
    const sums = { loss: 0, good: { reward: 0, logProb: 0 }, bad: { reward: 0, logProb: 0 } };
    for (const { index, role, logProb, reference } of scoreSequences(scores)) {
      const isGood = role === "desirable";
      const sign = isGood ? 1 : -1;
      const weight = isGood ? desirableWeight : undesirableWeight;
      const gain = sign * beta * (logProb - reference - divergence);
      sums.loss += weight * sigmoid(-gain);
      bySequence[index] = (-weight * sign * beta * sigmoid(gain) * sigmoid(-gain)) / (numGood + numBad);
      const side = isGood ? sums.good : sums.bad;
      side.reward += beta * (logProb - reference);
      side.logProb += logProb;
    }
    // A label without examples in the whole step has no mean.
    const metrics = {
      ...(numGood > 0 && {
        "rewards/chosen": sums.good.reward / numGood,
        "logps/chosen": sums.good.logProb / numGood,
      }),
      ...(numBad > 0 && {
        "rewards/rejected": sums.bad.reward / numBad,
        "logps/rejected": sums.bad.logProb / numBad,
      }),
      ...(numGood > 0 &&
        numBad > 0 && { "rewards/margins": sums.good.reward / numGood - sums.bad.reward / numBad }),
      // The divergence is the same for the whole step, so each micro-batch adds its share of it.
      kl: (divergence * scores.sequences.length) / (numGood + numBad),
    };
    return { loss: sums.loss / (numGood + numBad), gradient: spread(scores, bySequence), metrics };
  },
};
