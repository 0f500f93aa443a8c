/**
 * @file How much the gradients change when one branch is left out of the backward pass; both published definitions.
 *
 *   norm      C_i = Σ_k (‖g_k‖ - ‖g_k^(i)‖)²
 *   gradient  C_i = Σ_k ‖g_k - g_k^(i)‖²
 *
 *   g_k gradient of parameter k  g_k^(i) the same without branch i; what is absent counts as 0
 * Paper: as `allocate-rates`; `norm` is the default of its code, `gradient` is what the paper names.
 */
import type { GradientGroup } from "../../run/gradients/gradient-buffer.ts";

/** A definition of the sensitivity. */
export interface Sensitivity {
  readonly name: string;
  /** What is compared of gradients. */
  read(groups: readonly GradientGroup[]): Promise<Float64Array[]>;
}

/** Reads one vector a parameter, those without gradient as zeros. */
async function ofParameters<T>(
  groups: readonly GradientGroup[],
  read: (vector: Float32Array) => T,
): Promise<T[]> {
  const found: T[] = [];
  for (const { group, values, present } of groups) {
    for (const [i, { offset, length }] of group.parameters.entries())
      found.push(read(present[i] ? await values.read(offset, offset + length) : new Float32Array(length)));
  }
  return found;
}

function norm(vector: Float32Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Math.sqrt(sum);
}

export const SENSITIVITIES: readonly Sensitivity[] = [
  { name: "norm", read: async (groups) => [Float64Array.from(await ofParameters(groups, norm))] },
  { name: "gradient", read: (groups) => ofParameters(groups, (vector) => Float64Array.from(vector)) },
];

/** Sum of squared differences of what `read` gave. */
export function squaredDistance(a: readonly Float64Array[], b: readonly Float64Array[]): number {
  let sum = 0;
  for (const [i, vector] of a.entries()) {
    const other = b[i] as Float64Array;
    for (const [j, value] of vector.entries()) sum += (value - (other[j] as number)) ** 2;
  }
  return sum;
}
