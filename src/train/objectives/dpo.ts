/**
 * @file Direct preference optimization: raises the chosen answer over the rejected one, relative to the reference model.
 *
 *   h = log π(c|x)/π₀(c|x) - log π(r|x)/π₀(r|x)
 *   sigmoid  -(1-ε) log σ(βh) - ε log σ(-βh)      equation 7 of arXiv:2305.18290; ε: a share of labels is wrong (cDPO)
 *   hinge    max(0, 1 - βh)                        equation 3 of arXiv:2305.10425 (SLiC-HF), with h for its difference
 *   ipo      (h̄ - 1/2β)²                           equation 17 of arXiv:2310.12036; h̄: h of log-ratios per token, as in TRL
 */
import { z } from "zod";
import { logSigmoid, sigmoid } from "../losses/log-sigmoid.ts";
import type { Objective } from "../objective.ts";
import { pairMetrics } from "../losses/pair-metrics.ts";
import { type SequenceScore, scorePairs, spread } from "../step/sequence-scores.ts";

interface MarginLoss {
  readonly loss: number;
  readonly slope: number;
}

/** Computes the loss of a margin h. */
const LOSSES = {
  sigmoid: (h: number, beta: number, smoothing: number): MarginLoss => ({
    loss: -(1 - smoothing) * logSigmoid(beta * h) - smoothing * logSigmoid(-beta * h),
    slope: beta * (smoothing * sigmoid(beta * h) - (1 - smoothing) * sigmoid(-beta * h)),
  }),
  hinge: (h: number, beta: number): MarginLoss => ({
    loss: Math.max(0, 1 - beta * h),
    slope: beta * h < 1 ? -beta : 0,
  }),
  ipo: (h: number, beta: number): MarginLoss => ({
    loss: (h - 1 / (2 * beta)) ** 2,
    slope: 2 * (h - 1 / (2 * beta)),
  }),
};

const options = z
  .strictObject({
    beta: z
      .number()
      .positive()
      .default(0.1)
      .describe("strength of the penalty for straying from the reference model"),
    labelSmoothing: z
      .number()
      .min(0)
      .max(0.5)
      .default(0)
      .describe("label smoothing: assumed share of pairs whose preference is reversed"),
    lossType: z
      .enum(Object.keys(LOSSES) as (keyof typeof LOSSES)[])
      .default("sigmoid")
      .describe("loss on the margin"),
  })
  .refine(({ labelSmoothing, lossType }) => labelSmoothing === 0 || lossType === "sigmoid", {
    path: ["labelSmoothing"],
    message: "expected 0 unless the loss is sigmoid",
  });
type DpoOptions = z.infer<typeof options>;

export const dpo: Objective<DpoOptions> = {
  name: "dpo",
  summary: "Prefer chosen over rejected answers, without straying far from the base model",
  paper: {
    title: "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
    url: "https://arxiv.org/abs/2305.18290",
  },
  options,
  rows: "preference",
  needs: ["reference"],
  rateFactor: 0.1,
  isSeparable: false,
  evaluate(scores, { numSequences }, { beta, labelSmoothing, lossType }) {
    const pairs = scorePairs(scores);
    const numPairs = numSequences.chosen;
    const bySequence = new Float64Array(scores.sequences.length);
    const ratio = ({ logProb, reference }: SequenceScore): number => logProb - reference;
    const divisor = ({ numLabels }: SequenceScore): number => (lossType === "ipo" ? numLabels : 1);
    let loss = 0;
    for (const { chosen, rejected } of pairs) {
      const h = ratio(chosen) / divisor(chosen) - ratio(rejected) / divisor(rejected);
      const one = LOSSES[lossType](h, beta, labelSmoothing);
      loss += one.loss / numPairs;
      bySequence[chosen.index] = one.slope / divisor(chosen) / numPairs;
      bySequence[rejected.index] = -one.slope / divisor(rejected) / numPairs;
    }
    const metrics = pairMetrics(
      pairs.map(({ chosen, rejected }) => ({
        chosenReward: beta * ratio(chosen),
        rejectedReward: beta * ratio(rejected),
        chosenLogProb: chosen.logProb,
        rejectedLogProb: rejected.logProb,
      })),
      numPairs,
    );
    return { loss, gradient: spread(scores, bySequence), metrics };
  },
};
