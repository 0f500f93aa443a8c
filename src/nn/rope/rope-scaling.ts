/**
 * @file How rotary frequencies are stretched for contexts longer than those that a model was trained on.
 *
 *   linear    θ / s
 *   llama3    wavelengths below original/high keep θ, those above original/low get θ / s, those between are interpolated
 *   yarn      pairs that turn more than β_fast times in the original context keep θ, fewer than β_slow get θ / s,
 *             with a ramp over the pairs between; cosine and sine are multiplied by 0.1 ln s + 1
 *   longrope  each frequency is divided by its own factor, one list for short contexts, one for long ones
 *   proportional  the first pairs get θ / s; the others are not rotated
 *
 * Papers: "YaRN", arXiv:2309.00071, eq. 15, 17, 22; "LongRoPE", arXiv:2402.13753; the Llama 3.1 model's own rule.
 */

/** YaRN's factor on cosine and sine for a context `factor` times as long; `m` is the configuration's own multiplier, if any. */
export function yarnAttention(factor: number, m = 1): number {
  return factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1;
}

export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  | { readonly kind: "proportional"; readonly factor: number; readonly numTurning: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    }
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalMaxPositions: number;
      /** Factor on cosine and sine. */
      readonly attentionFactor: number;
      /** Whether the bounds of the ramp are rounded to whole pairs. */
      readonly truncate: boolean;
    }
  | {
      readonly kind: "longrope";
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalMaxPositions: number;
      readonly attentionFactor: number;
    };

/** The number of positions up to which all passes use the same frequencies. */
export function numAlikePositions(scaling: RopeScaling): number {
  return scaling.kind === "longrope" ? scaling.originalMaxPositions : Infinity;
}

/** Frequencies of the pairs and the factor on cosine and sine, for a pass of `numPositions` positions. */
export function scaleFrequencies(
  plain: readonly number[],
  scaling: RopeScaling,
  theta: number,
  numPositions: number,
): { readonly frequencies: readonly number[]; readonly factor: number } {
  switch (scaling.kind) {
    case "none":
      return { frequencies: plain, factor: 1 };
    case "linear":
      return { frequencies: plain.map((frequency) => frequency / scaling.factor), factor: 1 };
    case "proportional":
      return {
        frequencies: plain.map((frequency, i) => (i < scaling.numTurning ? frequency / scaling.factor : 0)),
        factor: 1,
      };
    case "llama3":
      return { frequencies: plain.map((frequency) => llama3(frequency, scaling)), factor: 1 };
    case "yarn":
      return { frequencies: yarn(plain, scaling, theta), factor: scaling.attentionFactor };
    case "longrope":
      break;
  }
  const { shortFactors, longFactors, originalMaxPositions, attentionFactor } = scaling;
  const factors = numPositions > originalMaxPositions ? longFactors : shortFactors;
  return { frequencies: plain.map((frequency, i) => frequency / factors[i]!), factor: attentionFactor };
}

function llama3(frequency: number, scaling: Extract<RopeScaling, { kind: "llama3" }>): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
  return interpolate(frequency / factor, frequency, (turns - low) / (high - low));
}

function yarn(
  plain: readonly number[],
  scaling: Extract<RopeScaling, { kind: "yarn" }>,
  theta: number,
): readonly number[] {
  const { factor, betaFast, betaSlow, originalMaxPositions, truncate } = scaling;
  const width = 2 * plain.length;
  // The index, not rounded, of the pair that turns `turns` times in the original context.
  const pairOf = (turns: number): number =>
    (width * Math.log(originalMaxPositions / (2 * Math.PI * turns))) / (2 * Math.log(theta));
  const whole = (round: (x: number) => number, x: number): number => (truncate ? round(x) : x);
  const first = Math.max(0, whole(Math.floor, pairOf(betaFast)));
  const last = Math.min(width - 1, whole(Math.ceil, pairOf(betaSlow)));
  const span = Math.max(last - first, 1e-3);
  return plain.map((frequency, i) => interpolate(frequency, frequency / factor, (i - first) / span));
}

function interpolate(from: number, to: number, share: number): number {
  const within = Math.min(1, Math.max(0, share));
  return (1 - within) * from + within * to;
}
