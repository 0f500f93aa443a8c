/**
 * @file Buckets of distances: each small distance has its own, larger ones share buckets that widen with distance.
 *
 *   b(d) = d where |d| ≤ m,  sign(d) (m + ⌈ (m - 1) log(|d| / m) / log((L - 1) / m) ⌉) beyond      m: half the buckets
 *
 * Paper: "DeBERTa", arXiv:2006.03654; the code of its version 2, with its float32 rounding.
 */
import type { DistanceRows } from "./distance-bias.ts";

const { fround } = Math;

/** Returns the bucket of a distance; each side has `numBuckets` for distances up to `limit`. */
function logBucket(distance: number, numBuckets: number, limit: number): number {
  const [middle, size] = [Math.floor(numBuckets / 2), Math.abs(distance)];
  if (size <= middle) return distance;
  const share = fround(
    fround(Math.log(fround(size / middle))) / fround(Math.log(fround((limit - 1) / middle))),
  );
  return Math.sign(distance) * (middle + Math.ceil(fround(share * (middle - 1))));
}

/**
 * Rows of a table of `numRows` for distances in both directions: the first half for keys before the query or at it, the second
 * for keys after it. In each half, distances below half its rows have one row each; greater ones, up to `limit`, share the others
 * on a logarithmic scale. "T5", arXiv:1910.10683, section 2.1; in float32 as in transformers.
 */
export function halvedRows(numRows: number, limit: number): DistanceRows {
  const half = numRows / 2;
  const numExact = Math.floor(half / 2);
  const rowOf = (distance: number): number => {
    const [first, size] = [distance < 0 ? half : 0, Math.abs(distance)];
    if (size < numExact) return first + size;
    const share = fround(fround(Math.log(fround(size / numExact))) / fround(Math.log(limit / numExact)));
    return first + Math.min(numExact + Math.trunc(fround(share * (half - numExact))), half - 1);
  };
  return { rowOf, reach: limit };
}

/** Rows of a table for distances on each side, up to `limit`. */
interface Buckets {
  readonly numRows: number;
  readonly limit: number;
  /** Whether distances share buckets; if not, each has a row. */
  readonly hasBuckets: boolean;
}

/** Maps distances to a table with `numRows` rows for each side; no two tokens are further apart than `furthest`. */
export function bucketRows({ numRows, limit, hasBuckets }: Buckets, furthest: number): DistanceRows {
  const rowOf = (distance: number): number => {
    const bucket = hasBuckets ? logBucket(distance, numRows, limit) : distance;
    return Math.min(Math.max(bucket + numRows, 0), 2 * numRows - 1);
  };
  let reach = 1;
  while (reach < furthest && (rowOf(reach) < 2 * numRows - 1 || rowOf(-reach) > 0)) reach++;
  return { rowOf, reach };
}
