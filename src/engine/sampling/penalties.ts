/**
 * @file Changes to logits before a draw, by the ids that a text already has and by what its author asked for.
 *
 *   repetition r:  l > 0 ? l / r : l · r     for every id of prompt and text (Keskar et al. 2019, eq. on sampling)
 *   l − presence − frequency · count         for ids of the text (OpenAI's definition)
 *   l + bias                                 by id
 */

/** What changes logits; each absent by default. */
export interface Penalties {
  /** 1: no penalty. */
  readonly repetition: number;
  /** 0: no penalty. */
  readonly presence: number;
  readonly frequency: number;
  /** What is added to the logit of each id. */
  readonly bias: ReadonlyMap<number, number>;
}

export const NO_PENALTIES: Penalties = { repetition: 1, presence: 0, frequency: 0, bias: new Map() };

/** Changes logits [V] in place. `ids`: prompt and text, of which the first `numPrompt` are the prompt. */
export function applyPenalties(
  logits: Float32Array,
  { repetition, presence, frequency, bias }: Penalties,
  ids: readonly number[],
  numPrompt: number,
): void {
  if (repetition !== 1) {
    for (const id of new Set(ids)) {
      const logit = logits[id]!;
      logits[id] = logit > 0 ? logit / repetition : logit * repetition;
    }
  }
  if (presence !== 0 || frequency !== 0) {
    const counts = new Map<number, number>();
    for (const id of ids.slice(numPrompt)) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const [id, count] of counts) logits[id]! -= presence + frequency * count;
  }
  for (const [id, value] of bias) if (id < logits.length) logits[id]! += value;
}
