/** @file The metrics of training on pairs, with TRL's names. Each is a mean over the pairs of the step. */

/** The values of one pair: rewards as the objective defines them, and log-probabilities. */
interface PairMetrics {
  readonly chosenReward: number;
  readonly rejectedReward: number;
  readonly chosenLogProb: number;
  readonly rejectedLogProb: number;
}

/** What some pairs contribute to the means over all `numPairs` of the step. */
export function pairMetrics(pairs: readonly PairMetrics[], numPairs: number): Record<string, number> {
  const mean = (value: (pair: PairMetrics) => number): number =>
    pairs.reduce((sum, pair) => sum + value(pair), 0) / numPairs;
  return {
    "rewards/chosen": mean((pair) => pair.chosenReward),
    "rewards/rejected": mean((pair) => pair.rejectedReward),
    "rewards/accuracies": mean((pair) => (pair.chosenReward > pair.rejectedReward ? 1 : 0)),
    "rewards/margins": mean((pair) => pair.chosenReward - pair.rejectedReward),
    "logps/chosen": mean((pair) => pair.chosenLogProb),
    "logps/rejected": mean((pair) => pair.rejectedLogProb),
  };
}
