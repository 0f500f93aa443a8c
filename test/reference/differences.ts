/** @file How far apart two lists of numbers are. */
import assert from "node:assert/strict";

/** The largest difference of two lists of equal length; one that is no number fails the test. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  assert.equal(a.length, b.length);
  let largest = 0;
  for (const [i, value] of a.entries()) {
    const apart = Math.abs(value - b[i]!);
    assert.ok(!Number.isNaN(apart), `number ${i} is ${value} against ${b[i]}`);
    largest = Math.max(largest, apart);
  }
  return largest;
}
