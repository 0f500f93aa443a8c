/** @file How far numbers that are computed in two ways may be apart. */
import assert from "node:assert/strict";

/** The largest difference of two arrays; Infinity where one is no number. */
export function distance(a: Float32Array, b: Float32Array): number {
  assert.equal(a.length, b.length);
  return a.reduce((max, value, i) => {
    const apart = Math.abs(value - (b[i] as number));
    return Number.isNaN(apart) ? Infinity : Math.max(max, apart);
  }, 0);
}

/** Asserts that two arrays differ by a share of the larger one's size at most. */
export function assertNear(actual: Float32Array, expected: Float32Array, share: number, what: string): void {
  const size = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 1);
  const apart = distance(actual, expected);
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
    const apart = distance(actual.get(name) as Float32Array, gradient);
    // What the softmax takes out again, as biases of keys where nothing is turned, has no gradient but rounding.
    assert.ok(apart <= share * size + 5e-8, `${name} is ${apart} apart, of size ${size}`);
  }
}
