/** @file Medians, spreads and ratios of repeated measurements. */

/** A middle value and the range around it. */
export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Returns the middle value, or the mean of the two middle ones. @throws RangeError for an empty list */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  if (low === undefined || high === undefined)
    throw new RangeError("Cannot take the median: no values, expected one or more");
  return (low + high) / 2;
}

/** Returns median, lowest and highest of a list. @throws RangeError for an empty list */
export function spread(values: readonly number[]): Spread {
  return { median: median(values), lowest: Math.min(...values), highest: Math.max(...values) };
}

/** A mean and its 95 % confidence interval. */
export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** Student's t at 97.5 % for 1, 2, … degrees of freedom; for more, its limit is used. */
const STUDENT = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086,
];
const NORMAL = 1.96;

/** Returns the mean with its 95 % interval by Student's t; of one value the interval is infinite. @throws RangeError for an empty list */
export function intervalOf(values: readonly number[]): Interval {
  const n = values.length;
  if (n === 0) throw new RangeError("Cannot take the mean: no values, expected one or more");
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const half = n === 1 ? Infinity : (STUDENT[n - 2] ?? NORMAL) * Math.sqrt(variance / n);
  return { mean, low: mean - half, high: mean + half };
}

/** Divides round by round, so that what slows a whole round cancels, and returns the spread of the quotients. */
export function ratioOf(numerators: readonly number[], denominators: readonly number[]): Spread {
  if (numerators.length !== denominators.length) {
    throw new RangeError(
      `Cannot compare rounds: ${numerators.length} on one side, ${denominators.length} on the other`,
    );
  }
  return spread(numerators.map((value, round) => value / (denominators[round] ?? Number.NaN)));
}

/** Largest distance between two lists, element by element. @throws RangeError when their lengths differ */
export function largestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length)
    throw new RangeError(`Cannot compare lists: lengths ${a.length} and ${b.length} differ`);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

/** Rounds to a number of digits after the point, for printing. */
export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Rounds all numbers of a spread. */
export function roundedSpread({ median, lowest, highest }: Spread, digits = 3): Record<keyof Spread, number> {
  return {
    median: rounded(median, digits),
    lowest: rounded(lowest, digits),
    highest: rounded(highest, digits),
  };
}

/** Prints a ratio as `1.40× (1.38–1.43)`. */
export function showRatio({ median, lowest, highest }: Spread): string {
  return `${median.toFixed(2)}× (${lowest.toFixed(2)}–${highest.toFixed(2)})`;
}
