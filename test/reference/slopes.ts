/** @file Central differences of a whole model's loss along the gradient of each parameter. */
import assert from "node:assert/strict";
import type { Parameter } from "../../src/peft/parameters.ts";

/** Steps of this length move the loss by much more than it is rounded. */
const LARGEST_STEP = 0.02;
const LARGEST_CHANGE = 5e-3;

/** Asserts that the loss changes along each parameter's gradient as fast as its length says; parameters come back as they were. */
export async function assertSlopes(
  parameters: readonly Parameter[],
  gradients: ReadonlyMap<string, Float32Array>,
  loss: () => Promise<number>,
  tolerance: number,
): Promise<void> {
  for (const { name, value } of parameters) {
    const gradient = gradients.get(name);
    assert.ok(gradient, `${name} has no gradient`);
    const norm = Math.hypot(...gradient);
    assert.ok(norm > 0, `${name} has a gradient of zeros`);
    const step = Math.min(LARGEST_STEP, LARGEST_CHANGE / norm);
    const own = value.data;
    const before = own.slice();
    const lossAt = async (by: number): Promise<number> => {
      gradient.forEach((g, i) => (own[i] = before[i]! + (by * g) / norm));
      return await loss();
    };
    const slope = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
    own.set(before);
    assert.ok(Math.abs(slope / norm - 1) < tolerance, `${name}: slope ${slope}, norm ${norm}`);
  }
}
