/**
 * @file Searches for the scale of a group of weights with the least squared error, by clipping its range.
 *
 * The range is tried at 100 %, 99 %, … 21 % of its length; both ends shrink by the same factor, so the zero stays where
 * it is. Of equal errors the longer range wins. Grid and norm are those of OPTQ's search, arXiv:2210.17323 (code).
 */

/** Number of ranges that are tried. */
const NUM_STEPS = 80;
/** Adding this to a float64 and subtracting it rounds to the nearest integer, halves to even; for magnitudes below 2^51. */
const ROUND = 2 ** 52 + 2 ** 51;
/** Elements between two checks of the error so far. */
const STRIDE = 16;

/** Rounds to the nearest integer, halves to even; for magnitudes below 2^51. */
export function roundHalfEven(value: number): number {
  return value + ROUND - ROUND;
}

/** A group whose range may be clipped. */
interface GroupRange {
  /** The smallest and the largest of the weights and 0. */
  readonly low: number;
  readonly high: number;
  /** The smallest and the largest code, less the zero. */
  readonly lowCode: number;
  readonly highCode: number;
  /** The scale of the whole range, before rounding. */
  readonly fullScale: number;
}

/** Finds the scale, a float32, that rounds a group of weights best. */
export function searchScale(group: Float64Array, range: GroupRange): number {
  const { low, high, lowCode, highCode, fullScale } = range;
  let best = Infinity;
  let bestScale = Math.fround(fullScale);
  for (let step = 0; step < NUM_STEPS; step++) {
    const scale = Math.fround((1 - step / 100) * fullScale);
    if (scale === 0) break;
    // The error of the clipped ends alone can only grow from here on.
    const [above, below] = [Math.max(0, high - scale * highCode), Math.max(0, scale * lowCode - low)];
    if (above * above + below * below >= best) break;
    const error = squaredError(group, scale, range, best);
    if (error < best) [best, bestScale] = [error, scale];
  }
  return bestScale;
}

/** Sums the squared error of rounding; stops early once the sum has reached `limit`. */
function squaredError(
  group: Float64Array,
  scale: number,
  { lowCode, highCode }: GroupRange,
  limit: number,
): number {
  // Multiplying by the inverse has a relative error of 1e-16, which can only change ties, where both codes are equally far away.
  const inverse = 1 / scale;
  let error = 0;
  for (let i = 0; i < group.length && error < limit;) {
    for (const end = Math.min(i + STRIDE, group.length); i < end; i++) {
      const value = group[i]!;
      let code = value * inverse + ROUND - ROUND;
      if (code < lowCode) code = lowCode;
      else if (code > highCode) code = highCode;
      const apart = scale * code - value;
      error += apart * apart;
    }
  }
  return error;
}
