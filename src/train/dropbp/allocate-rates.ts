/**
 * @file Rates at which branches are dropped, from how much dropping each one changes the gradients.
 *
 *   while Σ f_i (1 - p_i) > ⌊(1 - p) Σ f_i⌋:  raise by 0.1 the p_i < 0.9 with the least C_i (p_i + 0.1)
 *
 *   C_i sensitivity  f_i cost of the backward pass  p_i rate of branch i  p target
 * Paper: "DropBP: Accelerating Fine-Tuning of Large Language Models by Dropping Backward Propagation",
 * arXiv:2402.17812. Equal costs go to the larger index. Rates are counted in tenths: sums of 0.1 in float64 pass 0.9.
 */

/** The largest rate, in tenths: below 10, so that every branch is trained now and then. */
const LARGEST_TENTHS = 9;

/** What rates are computed from, an entry for each branch. */
interface BranchCosts {
  readonly sensitivities: readonly number[];
  /** Cost of each branch's backward pass, in any unit. */
  readonly flops: readonly number[];
}

/** The rate of each branch, in tenths; `target`: 0 to 0.9. */
export function allocateRates({ sensitivities, flops }: BranchCosts, target: number): number[] {
  const mostKept = Math.floor((1 - target) * flops.reduce((sum, cost) => sum + cost, 0));
  const tenths = flops.map(() => 0);
  const keptTenths = (): number => flops.reduce((sum, cost, i) => sum + cost * (10 - tenths[i]!), 0);
  while (keptTenths() > 10 * mostKept) {
    let [next, least] = [-1, Infinity];
    for (const [i, count] of tenths.entries()) {
      const cost = sensitivities[i]! * (count + 1);
      if (count < LARGEST_TENTHS && cost <= least) [next, least] = [i, cost];
    }
    // Every rate is at its cap. That is as much as was asked for, up to the rounding of rates.
    if (next < 0) return tenths;
    tenths[next] = tenths[next]! + 1;
  }
  return tenths;
}
