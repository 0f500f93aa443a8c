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

/** Divides round by round, so that what slows a whole round does not count, and returns the spread of the quotients. */
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
