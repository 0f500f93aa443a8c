/**
 * @file Combines several tensors of one shape: weighted sums, pruning, and election of signs.
 *
 * TIES: arXiv:2306.01708, section 4, in peft's order: prune, elect signs before applying weights, weight, average the values that
 * agree. DARE: arXiv:2311.03099, eq. 2. Sums are in float64.
 */
import { Random } from "../../random.ts";

/** The values of one tensor. */
export type Numbers = Float32Array | Float64Array;

/** How a sign is elected: by the sum of the values, or by counting signs. */
export const MAJORITIES = ["total", "frequency"] as const;
type Majority = (typeof MAJORITIES)[number];

/** Combines tensors of one shape by their weights, in a new one. `position` distinguishes random draws. */
export type Mix = (
  tensors: readonly Numbers[],
  weights: readonly number[],
  position: readonly number[],
) => Float64Array;

/** Σ wᵢ tᵢ */
export function weightedSum(tensors: readonly Numbers[], weights: readonly number[]): Float64Array {
  const sum = new Float64Array(tensors[0]?.length ?? 0);
  for (const [i, tensor] of tensors.entries()) {
    const weight = weights[i]!;
    for (let j = 0; j < sum.length; j++) sum[j] = sum[j]! + weight * tensor[j]!;
  }
  return sum;
}

/** Keeps the ⌊density · n⌋ largest entries by magnitude, of equal ones the first; returns a new array. */
export function pruneSmall(tensor: Numbers, density: number): Float64Array {
  const kept = new Float64Array(tensor.length);
  const count = Math.floor(density * tensor.length);
  if (count === 0) return kept;
  const sizes = Float64Array.from(tensor, Math.abs).sort();
  const smallest = sizes[sizes.length - count]!;
  let numEqual = count - sizes.reduce((above, size) => above + (size > smallest ? 1 : 0), 0);
  for (const [i, value] of tensor.entries()) {
    const size = Math.abs(value);
    if (size > smallest || (size === smallest && numEqual-- > 0)) kept[i] = value;
  }
  return kept;
}

/** Keeps each entry with probability `density` and divides it by that, which preserves the mean; returns a new array. */
export function dropRandom(tensor: Numbers, density: number, random: Random): Float64Array {
  return Float64Array.from(tensor, (value) => (random.uniform() < density ? value / density : 0));
}

/** Weighted sum of pruned tensors. */
export function magnitudeMix(density: number): Mix {
  return (tensors, weights) =>
    weightedSum(
      tensors.map((tensor) => pruneSmall(tensor, density)),
      weights,
    );
}

/** Weighted sum of tensors with random entries dropped. */
export function dareMix(density: number, seed: number): Mix {
  return (tensors, weights, position) =>
    weightedSum(
      tensors.map((tensor, i) => dropRandom(tensor, density, new Random(seed, i, ...position))),
      weights,
    );
}

/** TIES: for each entry the mean of the weighted values that have the elected sign; a tie elects plus. */
export function tiesMix(density: number, majority: Majority): Mix {
  return (tensors, weights) => {
    const pruned = tensors.map((tensor) => pruneSmall(tensor, density));
    const vote = majority === "total" ? (value: number) => value : Math.sign;
    return Float64Array.from(pruned[0] ?? [], (_, j) => {
      const elected = pruned.reduce((votes, tensor) => votes + vote(tensor[j]!), 0) >= 0 ? 1 : -1;
      let [sum, count] = [0, 0];
      for (const [i, tensor] of pruned.entries()) {
        if (Math.sign(tensor[j]!) !== elected) continue;
        sum += weights[i]! * tensor[j]!;
        count++;
      }
      return count === 0 ? 0 : sum / count;
    });
  };
}
