/**
 * @file Measures how much the A's of low-rank adapters differ. When factors are mixed separately, B of one adapter multiplies A
 * of another. That is nearly the sum of the changes if the A's are nearly equal, as after a common start, and noise if not.
 */
import type { FactorAlgebra, SiteState } from "./contract.ts";
import type { Member } from "./plan.ts";

/** Cosine below which a product of mixed factors is more noise than sum. */
export const LOW_COSINE = 0.5;

/** The two adapters whose A's differ most. */
export interface StartCosine {
  readonly names: readonly [string, string];
  /** Cosine between their A's, each as one vector over the common modules; 1: the same direction. */
  readonly value: number;
}

/** Finds the smallest cosine between the A's of two adapters with nonzero weights; null when there are no two. */
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
  // Adapters without a common module have no mixed factors.
  return size === 0 ? 1 : product / size;
}
