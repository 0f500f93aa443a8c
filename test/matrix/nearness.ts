/** @file How far numbers that are computed in two ways may be apart. */
import assert from "node:assert/strict";
import { largestDifference } from "../reference/differences.ts";

/** Asserts that two arrays differ by a share of the larger one's size at most. */
export function assertNear(actual: Float32Array, expected: Float32Array, share: number, what: string): void {
  const size = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 1);
  const apart = largestDifference(actual, expected);
  assert.ok(apart <= share * size, `${what}: ${apart} apart, of size ${size}`);
}

/** What the softmax takes out again, as biases of keys where nothing is turned, has no gradient but rounding. */
const NOTHING = 5e-8;

const sizeOf = (gradient: Float32Array): number =>
  gradient.reduce((max, value) => Math.max(max, Math.abs(value)), 0);

/** Asserts that there are the same gradients, and that they agree but for rounding. */
export function assertGradientsNear(
  actual: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
  share = 1e-5,
): void {
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
  for (const [name, gradient] of expected) {
    const size = sizeOf(gradient);
    const apart = largestDifference(actual.get(name)!, gradient);
    assert.ok(apart <= share * size + NOTHING, `${name} is ${apart} apart, of size ${size}`);
  }
}

/** The largest difference of the same gradients as a share of the size of each, for messages. */
export function shareApart(
  actual: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
): string {
  const shares = [...expected].map(([name, gradient]) => {
    const apart = Math.max(0, largestDifference(actual.get(name)!, gradient) - NOTHING);
    return apart && apart / sizeOf(gradient);
  });
  return Math.max(...shares).toExponential(1);
}
