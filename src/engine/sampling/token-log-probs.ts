/**
 * @file Log-probabilities of a drawn token and of the likeliest tokens, from the model's logits before any setting changes
 * them.
 */

/** A token with the logarithm of its probability. */
export interface ScoredToken {
  readonly id: number;
  readonly logProb: number;
}

/** The log-probability of a token, with those of the likeliest tokens at its position. */
export interface TokenLogProbs extends ScoredToken {
  /** The likeliest first; of equal ones the lowest id. */
  readonly top: readonly ScoredToken[];
}

/** Scores a token by logits [V], beside the `numTop` likeliest. */
export function tokenLogProbs(logits: Float32Array, id: number, numTop: number): TokenLogProbs {
  const logSum = logSumExp(logits);
  const score = (of: number): ScoredToken => ({ id: of, logProb: logits[of]! - logSum });
  return { ...score(id), top: largestIds(logits, numTop).map(score) };
}

/** The logarithm of the sum of the exponentials of logits [V]. */
export function logSumExp(logits: Float32Array): number {
  let largest = -Infinity;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return largest + Math.log(sum);
}

/** Ids of the n largest logits, the largest first. */
function largestIds(logits: Float32Array, n: number): number[] {
  const top: number[] = [];
  if (n === 0) return top;
  for (const [id, logit] of logits.entries()) {
    if (top.length === n && logit <= logits[top.at(-1)!]!) continue;
    let place = top.length;
    while (place > 0 && logit > logits[top[place - 1]!]!) place--;
    top.splice(place, 0, id);
    top.length = Math.min(top.length, n);
  }
  return top;
}
