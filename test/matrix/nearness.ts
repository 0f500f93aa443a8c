/** @file How far numbers that are computed in two ways may be apart. */
import assert from "node:assert/strict";
import { largestDifference } from "../reference/differences.ts";

/** Asserts that two arrays differ by a share of the larger one's size at most. */
export function assertNear(actual: Float32Array, expected: Float32Array, share: number, what: string): void {
  const size = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 1);
  const apart = largestDifference(actual, expected);
  assert.ok(apart <= share * size, `${what}: ${apart} apart, of size ${size}`);
}

/** Asserts that there are the same gradients, and that they agree but for rounding. */
export function assertGradientsNear(
  actual: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
  share = 1e-5,
): void {
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
  for (const [name, gradient] of expected) {
    const size = gradient.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const apart = largestDifference(actual.get(name)!, gradient);
    // What the softmax takes out again, as biases of keys where nothing is turned, has no gradient but rounding.
    assert.ok(apart <= share * size + 5e-8, `${name} is ${apart} apart, of size ${size}`);
  }
}
