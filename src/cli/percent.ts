/** @file Shares as people read them. */

/** Writes a share of 1 as per cent with `numDigits` significant digits. */
export function percent(share: number, numDigits: number): string {
  return `${(100 * share).toPrecision(numDigits)} %`;
}
