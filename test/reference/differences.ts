/** @file How far apart two lists of numbers are. */
import assert from "node:assert/strict";

/** The largest difference of two lists of equal length; one that is no number fails the test. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const apart = Math.abs(a[i]! - b[i]!);
    if (Number.isNaN(apart)) assert.fail(`number ${i} is ${a[i]} against ${b[i]}`);
    largest = Math.max(largest, apart);
  }
  return largest;
}
