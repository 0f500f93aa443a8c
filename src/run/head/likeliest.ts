/** @file Finds the likeliest output of a head. */

/** Finds the id of the largest logit of [V], the lowest of equal ones. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  let most = logits[0]!;
  for (let id = 1; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit > most) [best, most] = [id, logit];
  }
  return best;
}
