/** @file Peaks of memory of several runs. */

/** Returns the largest peak in MiB; null when none is known. */
export function largestPeak(runs: readonly { readonly peakMb: number | null }[]): number | null {
  const peaks = runs.flatMap(({ peakMb }) => (peakMb === null ? [] : [peakMb]));
  return peaks.length === 0 ? null : Math.round(Math.max(...peaks));
}

/** Divides two peaks; null when one is not known. */
export function peakRatio(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Number((a / b).toFixed(3));
}

/** Prints a peak. */
export function showPeak(peak: number | null): string {
  return peak === null ? "unknown" : `${peak} MB`;
}
