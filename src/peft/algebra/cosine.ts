/**
 * @file How far apart the A's of low-rank adapters are. Where factors are mixed apart, B of one adapter meets A of another:
 * nearly the sum of the changes when the A's are nearly equal, as they are after one start, and noise when they are not.
 */
import type { FactorAlgebra, SiteState } from "./contract.ts";
import type { Member } from "./plan.ts";

/** A cosine below which a product of mixed factors is more noise than sum. */
export const LOW_COSINE = 0.5;

/** The two adapters whose A's are farthest apart. */
export interface StartCosine {
  readonly names: readonly [string, string];
  /** Cosine of their A's as one vector each, over the modules that both have; 1: the same direction. */
  readonly value: number;
}

/** Finds the least cosine between the A's of two adapters that have a weight; null when there are no two. */
export function leastCosine(members: readonly Member[], algebra: FactorAlgebra<unknown>): StartCosine | null {
  const weighted = members.filter(({ coefficient }) => coefficient.kept !== 0);
  const pairs = weighted.flatMap((one, i) =>
    weighted.slice(i + 1).map((other): StartCosine => {
      return { names: [one.name, other.name], value: cosineOf(one, other, algebra) };
    }),
  );
  const [first, ...others] = pairs;
  return first ? others.reduce((least, pair) => (pair.value < least.value ? pair : least), first) : null;
}

function cosineOf(
  { adapter: one }: Member,
  { adapter: other }: Member,
  algebra: FactorAlgebra<unknown>,
): number {
  const down = (state: SiteState<unknown>): Float32Array => algebra.split(state).down.data;
  let [product, ownSquares, otherSquares] = [0, 0, 0];
  for (const [path, state] of one.sites) {
    const otherState = other.sites.get(path);
    if (!otherState) continue;
    const [a, b] = [down(state), down(otherState)];
    for (let i = 0; i < a.length; i++) {
      product += a[i]! * b[i]!;
      ownSquares += a[i]! ** 2;
      otherSquares += b[i]! ** 2;
    }
  }
  const size = Math.sqrt(ownSquares * otherSquares);
  // Adapters without a common module have no factors that meet.
  return size === 0 ? 1 : product / size;
}
